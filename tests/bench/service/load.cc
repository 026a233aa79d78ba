// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/service/load.h"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <ctime>
#include <random>
#include <thread>
#include <utility>

#include "attend/v1/attention.pb.h"
#include "tests/bench/service/stream_load.h"

namespace attend::bench {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

void SleepUntil(int64_t time_ns) {
  const timespec until{time_ns / kSecond, time_ns % kSecond};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
  }
}

int64_t Nanoseconds(double seconds) {
  return std::llround(seconds * kSecond);
}

// Whether the answer ends with these bytes. The server puts the output's data last.
bool EndsWith(const grpc::ByteBuffer& answer, const std::string& expected) {
  std::vector<grpc::Slice> slices;
  if (!answer.Valid() || !answer.Dump(&slices).ok()) return false;
  if (answer.Length() < expected.size()) return false;
  size_t skipped = answer.Length() - expected.size();
  size_t compared = 0;
  for (const grpc::Slice& slice : slices) {
    const size_t skip = std::min(slice.size(), skipped);
    skipped -= skip;
    const size_t size = slice.size() - skip;
    if (std::memcmp(slice.begin() + skip, expected.data() + compared, size) != 0) return false;
    compared += size;
  }
  return true;
}

template <class Response>
int64_t ComputeTime(const std::string& bytes) {
  Response response;
  return response.ParseFromString(bytes) ? response.timing().compute_ns() : 0;
}

int64_t ComputeTime(const std::string& method, const grpc::ByteBuffer& answer) {
  std::vector<grpc::Slice> slices;
  if (!answer.Dump(&slices).ok()) return 0;
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return method == "/attend.v1.AttentionService/MultiHeadAttention"
             ? ComputeTime<v1::MultiHeadAttentionResponse>(bytes)
             : ComputeTime<v1::ScaledDotProductAttentionResponse>(bytes);
}

grpc::ChannelArguments ChannelSettings() {
  grpc::ChannelArguments settings;
  settings.SetMaxReceiveMessageSize(-1);
  settings.SetMaxSendMessageSize(-1);
  settings.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  settings.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Channels of equal settings would share one connection.
  settings.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return settings;
}

}  // namespace

int64_t MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

struct Load::Call {
  Record record;
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<grpc::ByteBuffer>> reader;
};

Load::Load(Plan plan) : plan_(std::move(plan)) {
  for (const Sample& sample : plan_.samples) {
    const grpc::Slice slice(sample.request);
    requests_.emplace_back(&slice, 1);
  }
  for (int i = 0; i < plan_.channels; ++i) {
    channels_.push_back(grpc::CreateCustomChannel(plan_.target, grpc::InsecureChannelCredentials(),
                                                  ChannelSettings()));
    stubs_.push_back(std::make_unique<grpc::GenericStub>(channels_.back()));
  }
}

bool Load::Connect() {
  const auto until = std::chrono::system_clock::now() + std::chrono::seconds(30);
  return std::all_of(channels_.begin(), channels_.end(),
                     [&](const auto& channel) { return channel->WaitForConnected(until); });
}

void Load::Run() {
  if (plan_.stream) {
    records_ = StreamLoad(plan_, *stubs_.front()).Run();
  } else if (plan_.concurrency > 0) {
    RunClosedLoop();
  } else {
    RunOpenLoop();
  }
  records_.insert(records_.end(), not_sent_.begin(), not_sent_.end());
}

void Load::RunClosedLoop() {
  const int64_t end_ns = MonotonicNow() + Nanoseconds(plan_.seconds);
  for (int i = 0; i < plan_.concurrency; ++i) Start(MonotonicNow());
  void* tag;
  bool ok;
  while (in_flight_ > 0 && queue_.Next(&tag, &ok)) {
    End(std::unique_ptr<Call>(static_cast<Call*>(tag)));
    const int64_t now = MonotonicNow();
    if (now < end_ns) Start(now);
  }
  queue_.Shutdown();
  while (queue_.Next(&tag, &ok)) {
  }
}

void Load::RunOpenLoop() {
  std::thread receiver([this] { Receive(); });
  SendAsPlanned(MonotonicNow());
  queue_.Shutdown();  // calls under way still end
  receiver.join();
}

void Load::Receive() {
  void* tag;
  bool ok;
  while (queue_.Next(&tag, &ok)) End(std::unique_ptr<Call>(static_cast<Call*>(tag)));
}

void Load::SendAsPlanned(int64_t start_ns) {
  prctl(PR_SET_TIMERSLACK, 1UL);  // the default lets a sleep end 50 us late
  std::mt19937_64 random(1);
  std::exponential_distribution<double> gap;
  double planned_seconds = 0, segment_begins = 0;
  for (const Segment& segment : plan_.segments) {
    planned_seconds = segment_begins;
    while (true) {
      planned_seconds += (plan_.poisson ? gap(random) : 1.0) / segment.calls_per_second;
      if (planned_seconds >= segment_begins + segment.seconds) break;
      const int64_t planned_ns = start_ns + Nanoseconds(planned_seconds);
      if (MonotonicNow() < planned_ns) SleepUntil(planned_ns);
      Start(planned_ns);
    }
    segment_begins += segment.seconds;
  }
}

void Load::Start(int64_t planned_ns) {
  const int64_t number = next_++;
  const int64_t deadline_ns = planned_ns + Nanoseconds(plan_.deadline_seconds);
  auto call = std::make_unique<Call>();
  call->record.planned_ns = planned_ns;
  call->record.sample = static_cast<int32_t>(number % static_cast<int64_t>(requests_.size()));
  const bool too_many = plan_.concurrency == 0 && in_flight_ >= plan_.max_in_flight;
  if (too_many || (plan_.deadline_seconds > 0 && MonotonicNow() >= deadline_ns)) {
    call->record.code = kNotSent;
    not_sent_.push_back(call->record);
    return;
  }
  if (plan_.deadline_seconds > 0) {
    call->context.set_deadline(gpr_timespec{
        deadline_ns / kSecond, static_cast<int32_t>(deadline_ns % kSecond), GPR_CLOCK_MONOTONIC});
  }
  ++in_flight_;
  call->record.sent_ns = MonotonicNow();
  grpc::GenericStub& stub = *stubs_[static_cast<size_t>(number) % stubs_.size()];
  const grpc::ByteBuffer& request = requests_[static_cast<size_t>(call->record.sample)];
  call->reader = stub.PrepareUnaryCall(&call->context, plan_.method, request, &queue_);
  call->reader->StartCall();
  Call* const sent = call.release();  // its tag carries it to End
  sent->reader->Finish(&sent->response, &sent->status, sent);
}

void Load::End(std::unique_ptr<Call> call) {
  Record& record = call->record;
  record.done_ns = MonotonicNow();
  --in_flight_;
  record.code = static_cast<int32_t>(call->status.error_code());
  if (record.code == grpc::StatusCode::OK) {
    const std::string& expected = plan_.samples[static_cast<size_t>(record.sample)].answer;
    if (!EndsWith(call->response, expected)) record.code = kWrongAnswer;
    if (plan_.compute_times) record.compute_ns = ComputeTime(plan_.method, call->response);
  } else {
    messages_.emplace(record.code, call->status.error_message());
  }
  records_.push_back(record);
}

}  // namespace attend::bench
