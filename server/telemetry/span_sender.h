// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_TELEMETRY_SPAN_SENDER_H_
#define ATTEND_SERVER_TELEMETRY_SPAN_SENDER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/net/address.h"

namespace attend {

// Sends spans to a collector.
class SpanSender {
 public:
  virtual ~SpanSender() = default;

  struct Outcome {
    absl::Status status;   // the collector's, or why it did not answer
    int64_t rejected = 0;  // spans that it did not take, although the status is OK
    std::string message;   // why it did not take them; may be empty
  };

  // Sends an ExportTraceServiceRequest. Blocks until the collector has answered, `timeout` has
  // passed or Cancel is called. To be called on one thread. May throw std::bad_alloc.
  virtual Outcome Send(const std::string& request, absl::Duration timeout) = 0;

  // Ends the Send that runs, and each that follows, with CANCELLED. Thread-safe; does not block.
  virtual void Cancel() = 0;
};

// Calls the collector over OTLP/gRPC, over one connection that is made when it is needed. TLS
// trusts the machine's root certificates, or those of the file that
// GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names. No proxy of the environment is used: it would see what
// must not leave the machine in plain text.
std::unique_ptr<SpanSender> MakeOtlpSender(const Endpoint& collector);

}  // namespace attend

#endif  // ATTEND_SERVER_TELEMETRY_SPAN_SENDER_H_
