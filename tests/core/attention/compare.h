// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_CORE_ATTENTION_COMPARE_H_
#define ATTEND_TESTS_CORE_ATTENTION_COMPARE_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "core/attention/attention.h"
#include "tests/core/attention/random_problem.h"

namespace attend {

// The machine that kernels are planned for and run on: each test program has one of
// this_machine.cc and kernels/machine_with_amx_model.cc among its sources.
const internal::Machine& MachineUnderTest();

// Runs the kernels of the machine under test.
void Compute(const RandomProblem& random, int workers = 2);

// Fails the test if results differ by more than `bound` or only one of them is NaN.
void ExpectNear(const std::vector<float>& truth, const std::vector<float>& got, double bound,
                const std::string& what);

// The largest difference; 0 for equal infinities.
double MaxError(const std::vector<float>& truth, const std::vector<float>& got);
// The largest finite magnitude.
double MaxMagnitude(const std::vector<float>& values);

// Runs kernels and reference. Output and log-sum-exp must be within twice the error of a plain
// float32 (or bfloat16) computation, plus the rounding of the result, each by its largest error
// in the problem; weights must be within the error of their few roundings. Leaves the
// reference's results in the problem.
void ExpectMatchesReference(RandomProblem& random, const std::string& what);

// Draws choices from a seed.
class Draw {
 public:
  explicit Draw(uint32_t seed) : random_(seed) {}
  template <typename T>
  T Of(const std::vector<T>& choices) {
    return choices[std::uniform_int_distribution<size_t>(0, choices.size() - 1)(random_)];
  }
  bool Coin(double probability = 0.5) { return std::bernoulli_distribution(probability)(random_); }
  int64_t In(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

 private:
  std::mt19937 random_;
};

// Sets options at random; each option occurs in some of the problems.
void AddOptions(Draw& draw, RandomProblem& random);

}  // namespace attend

#endif  // ATTEND_TESTS_CORE_ATTENTION_COMPARE_H_
