// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CPP_READ_MESSAGE_H_
#define ATTEND_CLIENT_CPP_READ_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "proto/wire/reader.h"

namespace attend::client::internal {

// Reading of messages over a WireReader. Each function returns false where the bytes cannot be
// read; abandon the message then.

// Calls `field(tag)` for each field up to the limit; it reads or skips the
// field's value and returns false to give up.
template <typename Field>
bool ReadMessage(WireReader& wire, Field field) {
  while (wire.remaining() > 0) {
    WireTag tag;
    if (!wire.ReadTag(tag) || !field(tag)) return false;
  }
  return true;
}

// The same for a message that is a field of another, so it begins with its length.
template <typename Field>
bool ReadSubmessage(WireReader& wire, Field field) {
  size_t size = 0;
  if (!wire.ReadLength(size)) return false;
  const size_t old_limit = wire.PushLimit(size);
  if (!ReadMessage(wire, field)) return false;
  wire.PopLimit(old_limit);
  return true;
}

// Reads an int32 or an enum as protobuf does, which drops the bits above.
inline bool ReadInt32(WireReader& wire, int32_t& value) {
  int64_t wide = 0;
  if (!wire.ReadInt64(wide)) return false;
  value = static_cast<int32_t>(wide);
  return true;
}

// Copies a string or bytes, but at most `max_size` bytes: more are an error.
inline bool ReadString(WireReader& wire, size_t max_size, std::string& bytes) {
  WireSpan span;
  if (!wire.ReadSpan(span) || span.size > max_size) return false;
  bytes.resize(span.size);
  wire.Copy(span, bytes.data());
  return true;
}

}  // namespace attend::client::internal

#endif  // ATTEND_CLIENT_CPP_READ_MESSAGE_H_
