// SPDX-License-Identifier: Apache-2.0
#include "server/config/memory_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/engine/engine.h"
#include "server/config/config_errors.h"

namespace attend {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kInFlightBytes = 1024 * kMiB;
constexpr int64_t kReceiveBytes = 768 * kMiB;
constexpr int64_t kRequestBytes = 256 * kMiB;

// With less, hardly any request fits.
constexpr int64_t kLeastBytes = 24 * kMiB;

absl::Status CheckSizes(const ServerConfig& config) {
  const TransportConfig& transport = config.transport;
  ConfigErrors errors;
  const int64_t request_bytes =
      config.max_in_flight_bytes - EngineRetainedBytes(config.engine, config.max_in_flight_bytes);
  if (transport.max_request_bytes > request_bytes) {
    errors.Add(absl::StrCat("--max-request-bytes=", transport.max_request_bytes,
                            " is more than the ", request_bytes,
                            " bytes that --max-in-flight-bytes=", config.max_in_flight_bytes,
                            " leaves for requests: such a request could never run"));
  }
  if (transport.max_request_bytes > transport.max_receive_bytes / 2) {
    errors.Add(absl::StrCat("--max-receive-bytes=", transport.max_receive_bytes,
                            " must be at least twice --max-request-bytes=",
                            transport.max_request_bytes, ", because gRPC reads ahead"));
  }
  return errors.status();
}

// What a limit leaves for budgets; negative where it is less than nothing.
int64_t BytesForBudgets(const ProcessMemory& memory) {
  return memory.limit - SpareBytes(memory.limit) - memory.held - kUncountedBytes;
}

}  // namespace

int64_t SpareBytes(int64_t limit) {
  return std::clamp(limit / 4, 64 * kMiB, 384 * kMiB);
}

absl::Status PlanMemory(const ProcessMemory& memory, ServerConfig& config) {
  int64_t& in_flight = config.max_in_flight_bytes;
  int64_t& receive = config.transport.max_receive_bytes;
  int64_t& request = config.transport.max_request_bytes;
  const int64_t wanted = (in_flight == 0 ? kInFlightBytes : 0) + (receive == 0 ? kReceiveBytes : 0);
  if (wanted > 0) {
    // At least one of the two is 0. They may be set to more than there is.
    const int64_t available = std::max<int64_t>(BytesForBudgets(memory), 0);
    const int64_t left = available - std::min(in_flight + receive, available);
    const double share = std::min(static_cast<double>(left) / static_cast<double>(wanted), 1.0);
    const auto fit = [share](int64_t bytes) {
      return static_cast<int64_t>(share * static_cast<double>(bytes)) / kMiB * kMiB;
    };
    int64_t least = kLeastBytes;
    for (const auto& [size, bytes] :
         {std::pair(&in_flight, kInFlightBytes), {&receive, kReceiveBytes}}) {
      if (*size == 0) least = std::min(least, *size = fit(bytes));
    }
    if (least < kLeastBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the memory limit of ", memory.limit / kMiB, " MiB leaves ", left / kMiB,
          " MiB for requests: the server holds ", memory.held / kMiB, " MiB with its layers, ",
          kUncountedBytes / kMiB, " MiB are kept for what no budget counts, and ",
          SpareBytes(memory.limit) / kMiB,
          " MiB are left free; raise the limit, or set --max-in-flight-bytes "
          "and --max-receive-bytes"));
    }
  }
  if (request == 0) request = std::min({kRequestBytes, in_flight / 4, receive / 3});
  if (config.max_caller_bytes == 0) config.max_caller_bytes = in_flight / 2;
  return CheckSizes(config);
}

bool FitsMemory(const ProcessMemory& memory, const ServerConfig& config) {
  const int64_t left = BytesForBudgets(memory);
  return config.max_in_flight_bytes <= left &&
         config.transport.max_receive_bytes <= left - config.max_in_flight_bytes;
}

int64_t MostHeldBytes(const ProcessMemory& memory, const ServerConfig& config,
                      int64_t reload_bytes) {
  // Sizes that were set may be so large that a sum overflows.
  const int64_t room = std::max<int64_t>(BytesForBudgets(memory), 0);
  int64_t budgets = 0;
  for (const int64_t bytes :
       {config.max_in_flight_bytes, config.transport.max_receive_bytes, reload_bytes}) {
    budgets += std::min(bytes, room - budgets);
  }
  return memory.held + kUncountedBytes + budgets;
}

}  // namespace attend
