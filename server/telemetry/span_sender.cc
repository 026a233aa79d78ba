// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/span_sender.h"

#include <grpc/compression.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "proto/wire/reader.h"
#include "proto/wire/received_bytes.h"

namespace attend {
namespace {

constexpr char kExportPath[] = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

// An answer has a number and a text; whatever is longer is not one.
constexpr int kMaxAnswerBytes = 64 << 10;
constexpr size_t kMaxAnswerFields = 64;

// A connection whose peer has vanished ends this long after bytes that it does not acknowledge, and
// not when Linux gives up, after a quarter of an hour. Collectors refuse PINGs that come more often
// than every five minutes.
constexpr int kKeepaliveMs = 5 * 60'000;
constexpr int kUnacknowledgedMs = 20'000;

// Below the longest backoff of SpanQueue, so that an attempt is also one to connect.
constexpr int kMaxReconnectMs = 10'000;

std::shared_ptr<grpc::Channel> Connect(const Endpoint& collector) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);  // SpanQueue says when to try again
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kUnacknowledgedMs);
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  // gRPC inflates a message before it compares its size with the limit.
  arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  return grpc::CreateCustomChannel(
      absl::StrCat("dns:///", collector.address),
      collector.tls ? grpc::SslCredentials({}) : grpc::InsecureChannelCredentials(), arguments);
}

// opentelemetry/proto/collector/trace/v1/trace_service.proto, ExportTraceServiceResponse:
// partial_success 1; ExportTracePartialSuccess: rejected_spans 1, error_message 2. Returns false if
// the message is broken.
bool ReadAnswer(const WireBytes& bytes, SpanSender::Outcome& outcome) {
  WireReader reader(bytes, kMaxAnswerFields);
  WireTag tag;
  while (reader.remaining() > 0) {
    if (!reader.ReadTag(tag)) return false;
    if (tag.field != 1 || tag.type != WireType::kLength) {
      if (!reader.SkipField(tag)) return false;
      continue;
    }
    size_t size = 0;
    if (!reader.ReadLength(size)) return false;
    const size_t outer = reader.PushLimit(size);
    while (reader.remaining() > 0) {
      if (!reader.ReadTag(tag)) return false;
      WireSpan text;
      if (tag.field == 1 && tag.type == WireType::kVarint) {
        if (!reader.ReadInt64(outcome.rejected)) return false;
      } else if (tag.field == 2 && tag.type == WireType::kLength) {
        if (!reader.ReadSpan(text)) return false;
        outcome.message.resize(text.size);
        reader.Copy(text, outcome.message.data());
      } else if (!reader.SkipField(tag)) {
        return false;
      }
    }
    reader.PopLimit(outer);
  }
  return true;
}

class OtlpSender final : public SpanSender {
 public:
  explicit OtlpSender(const Endpoint& collector) : stub_(Connect(collector)) {}

  ~OtlpSender() override {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  Outcome Send(const std::string& request, absl::Duration timeout) override {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(timeout));
    {
      MutexLock lock(mutex_);
      if (cancelled_) return {absl::CancelledError("the server ends"), 0, ""};
      running_ = &context;
    }
    const absl::Cleanup ended = [this] {
      MutexLock lock(mutex_);
      running_ = nullptr;
    };
    const grpc::Slice slice(request);
    const auto call =
        stub_.PrepareUnaryCall(&context, kExportPath, grpc::ByteBuffer(&slice, 1), &queue_);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, this);
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
    Outcome outcome;
    outcome.status =
        absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
    const std::optional<WireBytes> bytes = ReceivedBytes(answer);
    if (status.ok() && bytes && !ReadAnswer(*bytes, outcome)) outcome.rejected = 0;
    return outcome;
  }

  void Cancel() override {
    MutexLock lock(mutex_);
    cancelled_ = true;
    if (running_ != nullptr) running_->TryCancel();
  }

 private:
  grpc::GenericStub stub_;
  grpc::CompletionQueue queue_;
  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of the call under way
};

}  // namespace

std::unique_ptr<SpanSender> MakeOtlpSender(const Endpoint& collector) {
  return std::make_unique<OtlpSender>(collector);
}

}  // namespace attend
