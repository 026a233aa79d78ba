// SPDX-License-Identifier: Apache-2.0

// Writes the start of each corpus: write_fuzz_corpus tests/fuzz/corpus. Valid inputs at random,
// with a fixed seed; what a fuzzer finds is added by hand.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.pb.h"
#include "attend/v1/layer.pb.h"
#include "attend/v1/server.pb.h"
#include "proto/wire/writer.h"
#include "tests/server/codec/random_messages.h"

namespace attend {
namespace {

constexpr uint64_t kSeed = 20261128;
constexpr int kInputs = 24;

class Corpus {
 public:
  explicit Corpus(const std::filesystem::path& root) : root_(root) {}

  void Write(const std::string& target, const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(root_ / target);
    std::ofstream(root_ / target / name, std::ios::binary) << bytes;
  }

 private:
  const std::filesystem::path root_;
};

v1::PipelineRequest RandomFrame(Random& random) {
  v1::PipelineRequest frame;
  frame.set_id(random() >> (random() % 64));
  if (Chance(random, 0.5)) frame.mutable_timeout()->set_seconds(Uniform(random, 0, 100));
  if (Chance(random, 0.5)) frame.mutable_timeout()->set_nanos(1);
  const int64_t kind = Uniform(random, 0, 2);
  if (kind == 0) *frame.mutable_multi_head_attention() = RandomMultiHead(random);
  if (kind == 1) *frame.mutable_scaled_dot_product_attention() = RandomScaledDotProduct(random);
  if (kind == 2) frame.mutable_cancel();
  return frame;
}

// A response whose tensors are operands of a random request.
template <typename Response>
Response RandomResponse(Random& random) {
  const v1::ScaledDotProductAttentionRequest request = RandomScaledDotProduct(random);
  Response response;
  *response.mutable_output() = request.query();
  if (Chance(random, 0.5)) *response.mutable_weights() = request.key();
  if (Chance(random, 0.5)) *response.mutable_log_sum_exp() = request.value();
  response.mutable_timing()->set_queue_ns(Uniform(random, 0, 1000));
  response.mutable_timing()->set_batch_requests(3);
  return response;
}

std::string SafetensorsFile(Random& random) {
  std::string header, data;
  for (int64_t i = 0, n = Uniform(random, 0, 3); i < n; ++i) {
    const std::vector<std::pair<std::string, size_t>> types = {{"F32", 4}, {"BF16", 2}, {"I64", 8}};
    const auto& [type, bytes] = types[static_cast<size_t>(Uniform(random, 0, 2))];
    const auto rows = static_cast<size_t>(Uniform(random, 0, 4));
    const size_t begin = data.size();
    data.append(rows * 2 * bytes, '\1');
    absl::StrAppend(&header, i == 0 ? "" : ",", "\"t", i, "\":{\"dtype\":\"", type,
                    "\",\"shape\":[", rows, ",2],\"data_offsets\":[", begin, ",", data.size(),
                    "]}");
  }
  header = absl::StrCat("{", header, "}");
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i));
  return absl::StrCat(file, header, data);
}

// Protobuf merges two timeouts, and takes 32 bits of nanoseconds.
void WriteTimeouts(const Corpus& corpus) {
  v1::PipelineRequest seconds, nanos;
  seconds.mutable_cancel();
  seconds.mutable_timeout()->set_seconds(1);
  nanos.mutable_timeout()->set_nanos(5);
  const std::string merged = seconds.SerializeAsString() + nanos.SerializeAsString();
  corpus.Write("pipeline", "merged_timeout", absl::StrCat(merged, "x"));
  std::string timeout, wide;
  wire_writer::AppendVarintField(2, (uint64_t{1} << 40) + 7, timeout);
  wire_writer::AppendMessage(v1::PipelineRequest::kTimeoutFieldNumber, timeout, wide);
  corpus.Write("pipeline", "wide_nanos", absl::StrCat(wide, "x"));
}

v1::PipelineResponse RandomAnswer(Random& random) {
  v1::PipelineResponse answer;
  answer.set_id(random() >> (random() % 64));
  const int64_t kind = Uniform(random, 0, 2);
  if (kind == 0) {
    *answer.mutable_multi_head_attention() = RandomResponse<v1::MultiHeadAttentionResponse>(random);
  } else if (kind == 1) {
    *answer.mutable_scaled_dot_product_attention() =
        RandomResponse<v1::ScaledDotProductAttentionResponse>(random);
  } else {
    answer.mutable_status()->set_code(static_cast<int>(Uniform(random, 0, 17)));
    answer.mutable_status()->set_message("the queue is full");
    answer.mutable_status()->add_details()->set_type_url(
        "type.googleapis.com/google.rpc.ErrorInfo");
  }
  return answer;
}

// What a server tells of itself and its layers.
void WriteInfos(const Corpus& corpus) {
  v1::ListLayersResponse list;
  v1::LayerInfo& layer = *list.add_layers();
  layer.set_name("smol/2");
  layer.set_embed_dim(4);
  layer.mutable_model_place()->set_family("llama");
  layer.mutable_rotary()->set_theta(5e5);
  layer.set_softcap(50);
  list.add_layers();
  list.set_next_page_token("after:smol/2");
  v1::ServerInfo server;
  server.set_version("1.2.3");
  server.mutable_limits()->set_max_request_bytes(1 << 20);
  server.add_cpu_features("avx512f");
  corpus.Write("client_info", "list", absl::StrCat("0", list.SerializeAsString()));
  corpus.Write("client_info", "layer", absl::StrCat("1", layer.SerializeAsString()));
  corpus.Write("client_info", "server", absl::StrCat("2", server.SerializeAsString()));
}

void WriteAll(const Corpus& corpus) {
  WriteInfos(corpus);
  WriteTimeouts(corpus);
  Random random(kSeed);
  for (int i = 0; i < kInputs; ++i) {
    const std::string name = absl::StrCat("random_", i);
    const std::string step(1, static_cast<char>(i));  // the chunks of ChunkedInput
    corpus.Write("multi_head_attention", name, RandomMultiHead(random).SerializeAsString() + step);
    corpus.Write("scaled_dot_product_attention", name,
                 RandomScaledDotProduct(random).SerializeAsString() + step);
    corpus.Write("pipeline", name, RandomFrame(random).SerializeAsString() + step);
    const std::string response =
        i % 2 == 0
            ? RandomResponse<v1::MultiHeadAttentionResponse>(random).SerializeAsString()
            : RandomResponse<v1::ScaledDotProductAttentionResponse>(random).SerializeAsString();
    corpus.Write("client_response", name, step + response + step);
    corpus.Write("safetensors", name, SafetensorsFile(random));
  }
  for (int i = 0; i < kInputs; ++i) {
    corpus.Write("client_pipeline", absl::StrCat("random_", i),
                 RandomAnswer(random).SerializeAsString() + static_cast<char>(i));
  }
}

}  // namespace
}  // namespace attend

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: write_fuzz_corpus FOLDER\n";
    return 2;
  }
  attend::WriteAll(attend::Corpus(argv[1]));
  return 0;
}
