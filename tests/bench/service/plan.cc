// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/service/plan.h"

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "nlohmann/json.hpp"

namespace attend::bench {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

Plan ReadPlan(const std::string& json) {
  const nlohmann::json from = nlohmann::json::parse(json);
  Plan plan;
  plan.target = from.at("target");
  plan.method = from.at("method");
  for (const nlohmann::json& sample : from.at("samples")) {
    const std::string answer = sample.at("answer");
    plan.samples.push_back(
        {ReadFile(sample.at("request")), answer.empty() ? answer : ReadFile(answer)});
  }
  for (const nlohmann::json& segment : from.at("segments")) {
    plan.segments.push_back({segment.at(0), segment.at(1)});
    if (!(plan.segments.back().calls_per_second > 0)) {
      throw std::runtime_error("the rate of a segment must be above 0");
    }
  }
  plan.poisson = from.at("poisson");
  plan.concurrency = from.at("concurrency");
  plan.seconds = from.at("seconds");
  plan.deadline_seconds = from.at("deadline_seconds");
  plan.channels = from.at("channels");
  plan.max_in_flight = from.at("max_in_flight");
  plan.compute_times = from.at("compute_times");
  plan.stream = from.at("stream");
  plan.records = from.at("records");
  if (plan.samples.empty() || plan.channels < 1) {
    throw std::runtime_error("a plan needs a sample and a channel");
  }
  if ((plan.concurrency > 0) == !plan.segments.empty()) {
    throw std::runtime_error("a plan needs either a concurrency or segments");
  }
  if (plan.stream && (plan.concurrency == 0 || plan.channels != 1)) {
    throw std::runtime_error("a stream is a closed loop on one channel");
  }
  return plan;
}

}  // namespace attend::bench
