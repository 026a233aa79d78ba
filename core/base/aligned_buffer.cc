#include "core/base/aligned_buffer.h"

#include <new>

namespace attend {

AlignedBuffer::AlignedBuffer(size_t bytes)
    : data_(bytes == 0
                ? nullptr
                : static_cast<std::byte*>(::operator new(bytes, std::align_val_t(kAlignment)))),
      size_(bytes) {}

void AlignedBuffer::Free::operator()(std::byte* data) const {
  ::operator delete(data, std::align_val_t(kAlignment));
}

}  // namespace attend
