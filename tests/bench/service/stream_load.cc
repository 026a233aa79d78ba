// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/service/stream_load.h"

#include <grpcpp/grpcpp.h>

#include <cmath>
#include <stdexcept>
#include <string>

#include "attend/v1/attention.pb.h"

namespace attend::bench {
namespace {

enum Event : intptr_t { kStarted = 1, kRead, kWritten, kEnded };

void* Tag(Event event) {
  return reinterpret_cast<void*>(event);
}

void AppendVarint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// A PipelineRequest around the bytes of a request, which are not copied.
grpc::ByteBuffer Frame(uint64_t id, int field, const std::string& request) {
  constexpr int kVarint = 0, kLength = 2;
  std::string head;
  AppendVarint(v1::PipelineRequest::kIdFieldNumber << 3 | kVarint, head);
  AppendVarint(id, head);
  AppendVarint(static_cast<uint64_t>(field) << 3 | kLength, head);
  AppendVarint(request.size(), head);
  const grpc::Slice slices[] = {
      grpc::Slice(head), grpc::Slice(request.data(), request.size(), grpc::Slice::STATIC_SLICE)};
  return grpc::ByteBuffer(slices, 2);
}

}  // namespace

std::vector<Record> StreamLoad::Run() {
  stream_ = stub_.PrepareCall(&context_, "/attend.v1.AttentionService/Pipeline", &queue_);
  stream_->StartCall(Tag(kStarted));
  const int64_t end = MonotonicNow() + std::llround(plan_.seconds * 1e9);
  grpc::Status status;
  bool ended = false;
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    const int64_t now = MonotonicNow();
    if (!ok && tag != Tag(kEnded)) throw std::runtime_error("the stream ended early");
    if (tag == Tag(kStarted)) {
      for (int i = 0; i < plan_.concurrency; ++i) Submit(now);
      stream_->Read(&answer_, Tag(kRead));
    } else if (tag == Tag(kWritten)) {
      writing_ = false;
      WriteNext();
    } else if (tag == Tag(kRead)) {
      OnAnswer(now);
      if (now < end) Submit(now);
      if (!under_way_.empty()) {
        stream_->Read(&answer_, Tag(kRead));
      } else if (!ended) {
        ended = true;
        context_.TryCancel();
        stream_->Finish(&status, Tag(kEnded));
      }
    } else {
      queue_.Shutdown();
    }
  }
  return std::move(records_);
}

void StreamLoad::Submit(int64_t now) {
  const bool layer = plan_.method == "/attend.v1.AttentionService/MultiHeadAttention";
  const int field = layer ? v1::PipelineRequest::kMultiHeadAttentionFieldNumber
                          : v1::PipelineRequest::kScaledDotProductAttentionFieldNumber;
  const size_t sample = static_cast<size_t>(next_id_) % plan_.samples.size();
  Record record;
  record.planned_ns = record.sent_ns = now;
  record.sample = static_cast<int32_t>(sample);
  under_way_[next_id_] = record;
  unsent_.push_back(Frame(next_id_++, field, plan_.samples[sample].request));
  WriteNext();
}

void StreamLoad::WriteNext() {
  if (writing_ || unsent_.empty()) return;
  writing_ = true;
  grpc::WriteOptions options;
  if (unsent_.size() > 1) options.set_buffer_hint();  // one system call sends several
  stream_->Write(unsent_.front(), options, Tag(kWritten));
  unsent_.pop_front();
}

void StreamLoad::OnAnswer(int64_t now) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!answer_.Dump(&slices).ok()) throw std::runtime_error("an answer cannot be read");
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  v1::PipelineResponse answer;
  const bool parsed = answer.ParseFromString(bytes);
  const auto found = under_way_.find(answer.id());
  if (!parsed || found == under_way_.end()) throw std::runtime_error("an answer to no request");
  Record record = found->second;
  under_way_.erase(found);
  record.done_ns = now;
  record.code = answer.status().code();
  const std::string& expected = plan_.samples[static_cast<size_t>(record.sample)].answer;
  const bool right = bytes.size() >= expected.size() &&
                     bytes.compare(bytes.size() - expected.size(), expected.size(), expected) == 0;
  if (record.code == 0 && !right) record.code = kWrongAnswer;
  records_.push_back(record);
}

}  // namespace attend::bench
