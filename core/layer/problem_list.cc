#include "core/layer/problem_list.h"

namespace attend::internal {
namespace {

// Kept between batches: about 16 MiB, 16 sequences for each of 4,096 tokens.
constexpr size_t kKeptSequences = size_t{1} << 16;

}  // namespace

void ProblemList::Clear() {
  size_t sequences = 0;
  for (const AttentionProblem& problem : problems_) sequences += problem.sequences.capacity();
  if (sequences > kKeptSequences) problems_.clear();
  used_ = 0;
}

AttentionProblem& ProblemList::Add() {
  if (used_ == problems_.size()) problems_.emplace_back();
  AttentionProblem& problem = problems_[used_++];
  problem.sequences.clear();
  return problem;
}

absl::Span<const AttentionProblem* const> ProblemList::pointers() {
  pointers_.clear();
  for (size_t i = 0; i < used_; ++i) pointers_.push_back(&problems_[i]);
  return pointers_;
}

}  // namespace attend::internal
