// SPDX-License-Identifier: Apache-2.0

// Layers that are read again on SIGHUP while callers go on calling.

#include <atomic>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "attend/v1/attention.grpc.pb.h"
#include "attend/v1/layer.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/calls.h"
#include "tests/integration/server/server_process.h"

namespace attend {
namespace {

using testing::HasSubstr;

constexpr int64_t kEmbedDim = 16;

// Writes the parameters of a torch.nn.MultiheadAttention as .safetensors, and puts the file into
// place at once.
void WriteLayer(const std::string& path, unsigned seed, int64_t embed_dim = kEmbedDim) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.3f);
  nlohmann::json header;
  std::string data;
  const auto add = [&](const char* name, const std::vector<int64_t>& shape) {
    int64_t count = 1;
    for (const int64_t size : shape) count *= size;
    const size_t begin = data.size();
    for (int64_t i = 0; i < count; ++i) {
      const float value = normal(random);
      data.append(reinterpret_cast<const char*>(&value), sizeof(value));
    }
    header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
  };
  add("in_proj_weight", {3 * embed_dim, embed_dim});
  add("in_proj_bias", {3 * embed_dim});
  add("out_proj.weight", {embed_dim, embed_dim});
  add("out_proj.bias", {embed_dim});
  const std::string text = header.dump();
  const uint64_t size = text.size();
  std::ofstream file(path + ".new", std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file << text << data;
  file.close();
  std::filesystem::rename(path + ".new", path);
}

std::string ModelFlag(const std::string& name, const std::string& path) {
  return absl::StrCat("--model=", name, "=", path, ":num_heads=2");
}

// The bytes of the layer's output for one fixed request; empty if the call fails.
std::string CallLayer(v1::AttentionService::Stub& stub, const std::string& layer) {
  grpc::ClientContext context;
  v1::MultiHeadAttentionResponse response;
  const grpc::Status status =
      stub.MultiHeadAttention(&context, LayerRequest(layer, 3, kEmbedDim), &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.output().data();
}

std::string CallLayer(const ServerProcess& server, const std::string& layer) {
  return CallLayer(*v1::AttentionService::NewStub(server.Channel()), layer);
}

v1::LayerInfo GetLayer(const ServerProcess& server, const std::string& name) {
  grpc::ClientContext context;
  v1::GetLayerRequest request;
  request.set_name(name);
  v1::LayerInfo info;
  EXPECT_TRUE(v1::LayerService::NewStub(server.Channel())->GetLayer(&context, request, &info).ok());
  return info;
}

double CountReloads(const ServerProcess& server, const std::string& result) {
  return Sum(server.Metrics(), "attend_reloads_total", {"result=\"" + result + "\""});
}

TEST(ReloadTest, EveryCallIsAnsweredByTheOldOrTheNewLayerAndLaterByTheNewOne) {
  const std::string path = TestPath("changing");
  std::vector<std::string> kept;
  for (unsigned seed : {1u, 2u}) {
    kept.push_back(TestPath(absl::StrCat("kept-", seed)));
    WriteLayer(kept.back(), seed);
  }
  const ServerProcess reference({ModelFlag("a", kept[0]), ModelFlag("b", kept[1])});
  const std::vector<std::string> answers = {CallLayer(reference, "a"), CallLayer(reference, "b")};
  ASSERT_NE(answers[0], answers[1]);
  WriteLayer(path, 1);
  ServerProcess server({ModelFlag("m", path)});
  std::atomic<bool> done{false};
  std::atomic<int> answered[2] = {};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      const auto stub = v1::AttentionService::NewStub(server.Channel());
      while (!done) {
        const std::string answer = CallLayer(*stub, "m");
        EXPECT_TRUE(answer == answers[0] || answer == answers[1]);
        ++answered[answer == answers[1]];
      }
    });
  }
  constexpr int kReloads = 20;
  for (int i = 1; i <= kReloads; ++i) {
    const size_t now = i % 2;
    WriteLayer(path, static_cast<unsigned>(now) + 1);
    server.process().Signal(SIGHUP);
    ASSERT_TRUE(Eventually([&] { return GetLayer(server, "m").generation() == i + 1; }));
    EXPECT_EQ(GetLayer(server, "m").sha256(), GetLayer(reference, now == 0 ? "a" : "b").sha256());
    for (int call = 0; call < 3; ++call) EXPECT_EQ(CallLayer(server, "m"), answers[now]);
  }
  done = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_GT(answered[0], 0);
  EXPECT_GT(answered[1], 0);
  EXPECT_EQ(CountReloads(server, "ok"), kReloads);
  EXPECT_EQ(CountReloads(server, "refused"), 0);
  EXPECT_THAT(server.process().Output(), HasSubstr("reloaded model name=\"m\""));
}

TEST(ReloadTest, ABadFileLeavesTheOldLayerInService) {
  const std::string path = TestPath("spoilt");
  WriteLayer(path, 1);
  ServerProcess server({ModelFlag("m", path), "--random-layer=r:embed_dim=16,num_heads=2"});
  EXPECT_EQ(CountReloads(server, "refused"), 0);
  const std::string answer = CallLayer(server, "m");
  const v1::LayerInfo info = GetLayer(server, "m");
  EXPECT_EQ(info.generation(), 1);
  int refused = 0;
  const auto expect_refused = [&](const std::string& reason) {
    SCOPED_TRACE(reason);
    server.process().Signal(SIGHUP);
    ++refused;
    ASSERT_TRUE(Eventually([&] { return CountReloads(server, "refused") == refused; }));
    EXPECT_EQ(CallLayer(server, "m"), answer);
    EXPECT_EQ(GetLayer(server, "m").SerializeAsString(), info.SerializeAsString());
    EXPECT_THAT(server.process().Output(), HasSubstr(reason));
  };
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  expect_refused("cannot reload model, its layers stay in service name=\"m\"");
  std::filesystem::remove(path);
  expect_refused("No such file");
  WriteLayer(path, 2, 2 * kEmbedDim);
  expect_refused("layer m differs in its widths");
  WriteLayer(path, 2);
  server.process().Signal(SIGHUP);
  EXPECT_TRUE(Eventually([&] { return GetLayer(server, "m").generation() == 2; }));
  EXPECT_NE(CallLayer(server, "m"), answer);
  EXPECT_EQ(CountReloads(server, "ok"), 1);
  EXPECT_EQ(GetLayer(server, "r").generation(), 1);
}

}  // namespace
}  // namespace attend
