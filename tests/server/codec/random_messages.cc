// SPDX-License-Identifier: Apache-2.0
#include "tests/server/codec/random_messages.h"

#include <algorithm>

namespace attend {
namespace {

void FillTensor(Random& random, bool boolean, v1::Tensor& tensor) {
  size_t bytes = 1;
  if (boolean) {
    tensor.set_data_type(v1::DATA_TYPE_BOOL);
  } else {
    const int64_t type = Uniform(random, v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT16);
    tensor.set_data_type(static_cast<v1::DataType>(type));
    bytes = type == v1::DATA_TYPE_FLOAT32 ? 4 : 2;
  }
  const int64_t rank = Uniform(random, 0, 4);
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t size = Chance(random, 0.1) ? 0 : Uniform(random, 1, 9);
    tensor.add_shape(size);
    bytes *= static_cast<size_t>(size);
  }
  std::string& data = *tensor.mutable_data();
  data.resize(bytes);
  for (char& c : data) c = static_cast<char>(Uniform(random, 0, boolean ? 1 : 255));
}

void FillInts(Random& random, google::protobuf::RepeatedField<int64_t>& values) {
  for (int64_t n = Uniform(random, 0, 4); n > 0; --n) {
    values.Add(Chance(random, 0.2) ? static_cast<int64_t>(random()) : Uniform(random, -3, 300));
  }
}

void FillOptions(Random& random, v1::AttentionOptions& options) {
  if (Chance(random, 0.5)) options.set_scale(static_cast<float>(Uniform(random, -8, 8)) / 4);
  options.set_causal(Chance(random, 0.5));
  options.set_alignment(static_cast<v1::Alignment>(Uniform(random, 0, 2)));
  FillInts(random, *options.mutable_query_offsets());
  if (Chance(random, 0.3)) options.set_window_left(static_cast<int64_t>(random()));
  if (Chance(random, 0.3)) options.set_window_right(Uniform(random, 0, 300));
  if (Chance(random, 0.3)) options.set_softcap(static_cast<float>(Uniform(random, -8, 8)) / 4);
  if (Chance(random, 0.3)) FillTensor(random, false, *options.mutable_bias());
  if (Chance(random, 0.3)) FillTensor(random, true, *options.mutable_mask());
  if (Chance(random, 0.3)) FillTensor(random, false, *options.mutable_alibi_slopes());
  for (int64_t n = Uniform(random, 0, 3); n > 0; --n) {
    options.add_sinks(static_cast<float>(Uniform(random, -8, 8)) / 8);
  }
  for (int64_t n = Uniform(random, 0, 3); n > 0; --n) {
    options.add_head_gates(static_cast<float>(Uniform(random, -8, 8)) / 8);
  }
  options.set_weights(static_cast<v1::Weights>(Uniform(random, 0, 3)));
  options.set_weights_stage(static_cast<v1::WeightsStage>(Uniform(random, 0, 4)));
  options.set_log_sum_exp(Chance(random, 0.5));
}

}  // namespace

v1::MultiHeadAttentionRequest RandomMultiHead(Random& random) {
  v1::MultiHeadAttentionRequest request;
  if (Chance(random, 0.9)) request.set_layer(Chance(random, 0.5) ? "model/0" : "\u00fcber/\u6ce8");
  FillTensor(random, false, *request.mutable_query());
  if (Chance(random, 0.5)) FillTensor(random, false, *request.mutable_key());
  if (Chance(random, 0.5)) FillTensor(random, false, *request.mutable_value());
  FillInts(random, *request.mutable_query_lengths());
  FillInts(random, *request.mutable_key_lengths());
  if (Chance(random, 0.7)) FillOptions(random, *request.mutable_options());
  request.set_priority(static_cast<v1::Priority>(Uniform(random, 0, 3)));
  return request;
}

v1::ScaledDotProductAttentionRequest RandomScaledDotProduct(Random& random) {
  v1::ScaledDotProductAttentionRequest request;
  FillTensor(random, false, *request.mutable_query());
  FillTensor(random, false, *request.mutable_key());
  FillTensor(random, false, *request.mutable_value());
  FillInts(random, *request.mutable_query_lengths());
  FillInts(random, *request.mutable_key_lengths());
  if (Chance(random, 0.7)) FillOptions(random, *request.mutable_options());
  request.set_layout(static_cast<v1::Layout>(Uniform(random, 0, 2)));
  request.set_priority(static_cast<v1::Priority>(Uniform(random, 0, 3)));
  return request;
}

Sliced::Sliced(Random& random, const std::string& bytes) {
  const int64_t longest = Chance(random, 0.3) ? 2 : 200;
  for (size_t at = 0; at < bytes.size() || Chance(random, 0.2);) {
    const size_t size =
        std::min<size_t>(static_cast<size_t>(Uniform(random, 0, longest)), bytes.size() - at);
    memory_.emplace_back(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                         bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
    at += size;
  }
  for (const std::vector<char>& piece : memory_) chunks_.emplace_back(piece.data(), piece.size());
}

std::string Mutated(Random& random, std::string bytes) {
  for (int64_t n = Uniform(random, 1, 4); n > 0 && !bytes.empty(); --n) {
    const auto at = static_cast<size_t>(Uniform(random, 0, static_cast<int64_t>(bytes.size()) - 1));
    const auto size = static_cast<size_t>(Uniform(random, 1, 8));
    switch (Uniform(random, 0, 4)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << Uniform(random, 0, 7)));
        break;
      case 2:
        bytes.erase(at, size);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, size));
        break;
      default:
        bytes.resize(at);
        break;
    }
  }
  return bytes;
}

}  // namespace attend
