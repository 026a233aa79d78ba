// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_BENCH_SERVICE_PLAN_H_
#define ATTEND_TESTS_BENCH_SERVICE_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

namespace attend::bench {

// One request, as bytes that are sent again and again, and the bytes that every
// good answer to it ends with.
struct Sample {
  std::string request;
  std::string answer;  // empty: an answer is not compared
};

// A part of an open loop.
struct Segment {
  double calls_per_second;
  double seconds;
};

// What a caller does. Either `segments` (open loop) or `concurrency` (closed
// loop for `seconds`) is set.
struct Plan {
  std::string target;
  std::string method;  // "/package.Service/Method"
  std::vector<Sample> samples;
  std::vector<Segment> segments;
  bool poisson = true;  // random gaps between planned sends, else equal ones
  int concurrency = 0;
  double seconds = 0;
  double deadline_seconds = 0;  // from the planned send; 0: none
  int channels = 1;             // connections
  int max_in_flight = 0;        // an open loop sends no more while so many are under way
  bool compute_times = false;   // read Timing.compute_ns of answers
  bool stream = false;          // a closed loop over one Pipeline in place of unary calls
  std::string records;          // file to write
};

// Reads a plan of one JSON object; samples are paths {"request", "answer"}.
// Throws std::exception with the reason, as nlohmann::json does.
Plan ReadPlan(const std::string& json);

}  // namespace attend::bench

#endif  // ATTEND_TESTS_BENCH_SERVICE_PLAN_H_
