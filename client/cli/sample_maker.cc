// SPDX-License-Identifier: Apache-2.0
#include "client/cli/sample_maker.h"

#include <cstddef>
#include <utility>

#include "client/cli/arrays.h"
#include "client/cli/random_tensor.h"

namespace attend::cli {
namespace {

constexpr size_t kMaxSamples = 64;
constexpr int64_t kMaxSampleBytes = 256 << 20;

}  // namespace

absl::StatusOr<std::vector<Sample>> SampleMaker::Make() {
  std::vector<Sample> samples;
  int64_t bytes = 0;
  while (samples.size() < kMaxSamples && (samples.empty() || bytes < kMaxSampleBytes)) {
    absl::StatusOr<Sample> sample = MakeOne();
    if (!sample.ok()) return sample.status();
    bytes += static_cast<int64_t>(sample->request.size_bytes());
    samples.push_back(*std::move(sample));
  }
  return samples;
}

// Leading axes of one array: [B, L] or [T].
client::Shape SampleMaker::Lead(const std::vector<int64_t>& lengths, int64_t tokens) const {
  if (packed()) return {tokens};
  return {from_.batch, lengths[0]};
}

absl::StatusOr<client::TensorView> SampleMaker::Array(client::Shape shape,
                                                      std::initializer_list<int64_t> tail) {
  shape.insert(shape.end(), tail);
  absl::StatusOr<Tensor> tensor = ConvertTensor(RandomTensor(shape, random_()), from_.type);
  if (!tensor.ok()) return tensor.status();
  return tensor->view();  // shares ownership: sent without a copy
}

absl::StatusOr<Sample> SampleMaker::MakeOne() {
  std::uniform_int_distribution<int64_t> length(from_.min_tokens, from_.max_tokens);
  std::vector<int64_t> lengths(static_cast<size_t>(from_.batch));
  Sample sample;
  for (int64_t& each : lengths) sample.tokens += each = length(random_);
  const client::Shape lead = Lead(lengths, sample.tokens);
  absl::StatusOr<client::PreparedRequest> prepared =
      from_.use_operator ? Operator(lead, lengths, &sample) : Layer(lead, lengths, &sample);
  if (!prepared.ok()) return prepared.status();
  sample.request = *std::move(prepared);
  return sample;
}

absl::StatusOr<client::PreparedRequest> SampleMaker::Operator(const client::Shape& lead,
                                                              const std::vector<int64_t>& lengths,
                                                              Sample* sample) {
  const auto query = Array(lead, {from_.heads, from_.head_dim});
  const auto key = Array(lead, {from_.kv_heads, from_.head_dim});
  const auto value = Array(lead, {from_.kv_heads, from_.head_dim});
  for (const auto* each : {&query, &key, &value}) {
    if (!each->ok()) return each->status();
  }
  client::ScaledDotProductAttentionRequest request;
  request.query = *query;
  request.key = *key;
  request.value = *value;
  if (packed()) request.query_lengths = request.key_lengths = lengths;
  request.options.causal = from_.causal;
  request.priority = from_.priority;
  sample->output_shape = query->shape();
  return client::PreparedRequest::Create(request);
}

absl::StatusOr<client::PreparedRequest> SampleMaker::Layer(const client::Shape& lead,
                                                           const std::vector<int64_t>& lengths,
                                                           Sample* sample) {
  const auto query = Array(lead, {layer_.embed_dim()});
  if (!query.ok()) return query.status();
  client::MultiHeadAttentionRequest request;
  request.layer = layer_.name();
  request.query = *query;
  if (layer_.key_dim() != layer_.embed_dim() || layer_.value_dim() != layer_.embed_dim()) {
    const auto key = Array(lead, {layer_.key_dim()});
    const auto value = Array(lead, {layer_.value_dim()});
    if (!key.ok()) return key.status();
    if (!value.ok()) return value.status();
    request.key = *key;
    request.value = *value;
    if (packed()) request.key_lengths = lengths;
  }
  if (packed()) request.query_lengths = lengths;
  request.options.causal = from_.causal;
  request.priority = from_.priority;
  sample->output_shape = query->shape();
  return client::PreparedRequest::Create(request);
}

}  // namespace attend::cli
