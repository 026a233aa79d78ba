// SPDX-License-Identifier: Apache-2.0
//
// bench_load reads a plan (plan.h) from the first line of its input, connects,
// prints "ready", waits for a second line, follows the plan, writes its records
// and prints one JSON object: {"messages": {CODE: TEXT}}. A failure is
// {"failure": REASON} instead, and exit code 1.
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

#include "absl/synchronization/mutex.h"
#include "nlohmann/json.hpp"
#include "tests/bench/service/load.h"

namespace attend::bench {
namespace {

void WriteRecords(const std::string& path, const std::vector<Record>& records) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(records.data()),
             static_cast<std::streamsize>(records.size() * sizeof(Record)));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

void Run() {
  std::string line;
  std::getline(std::cin, line);
  const Plan plan = ReadPlan(line);
  Load load(plan);
  if (!load.Connect()) throw std::runtime_error("cannot connect to " + plan.target);
  std::cout << "ready" << std::endl;
  if (!std::getline(std::cin, line)) throw std::runtime_error("the start was called off");
  load.Run();
  WriteRecords(plan.records, load.records());
  nlohmann::json messages = nlohmann::json::object();
  for (const auto& [code, text] : load.messages()) messages[std::to_string(code)] = text;
  std::cout << nlohmann::json{{"messages", messages}}.dump() << std::endl;
}

}  // namespace
}  // namespace attend::bench

int main() {
  // Debian builds Abseil with its search for deadlocks on; gRPC pays for it at
  // every lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  try {
    attend::bench::Run();
  } catch (const std::exception& error) {
    std::cout << nlohmann::json{{"failure", error.what()}}.dump() << std::endl;
    return 1;
  }
  return 0;
}
