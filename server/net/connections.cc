// SPDX-License-Identifier: Apache-2.0
#include "server/net/connections.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/caller_table.h"
#include "server/net/peer_name.h"
#include "server/net/tcp_info.h"
#include "server/telemetry/log.h"

namespace attend {
namespace {

// Connections that are taken from one listener before others are looked at.
constexpr int kBurst = 64;

// How long the thread lets a listener be that the system cannot take connections from.
constexpr int kPauseMs = 10;

// How often meters are looked at. At 2 GB/s, more than gRPC receives on a core, 100 MB come in
// between.
constexpr int kMeterMs = 50;

// How often the memory of the process is looked at while it is near its limit. Hostile headers can
// make it grow by some 10 MB in between.
constexpr int kNearLimitMs = 5;

// While memory is near its limit, what a connection sent besides messages counts for so long.
constexpr absl::Duration kRemember = absl::Seconds(1);

// A connection that sent less than this meanwhile is not the cause of lacking memory.
constexpr int64_t kSuspectBytes = 16 << 10;

// How long the memory of a connection that was ended may take to be free.
constexpr std::chrono::seconds kFreeing{2};

// Bytes that had not left so long ago tell nothing of those that have not left now.
constexpr absl::Duration kForgetStall = absl::Seconds(1);

// How the end of a connection is waited for: so many times so long.
constexpr int kEndPolls = 100;
constexpr int kEndPollMs = 1;

bool Add(int epoll, int fd, uint32_t events) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool HasUnsent(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

// Bytes that the peer's system has taken in since the connection was opened.
int64_t TakenBytes(int fd) {
  const std::optional<tcp_info> info = ReadTcpInfo(fd);
  return info ? static_cast<int64_t>(info->tcpi_bytes_acked) : 0;
}

// Drops what has come and was not read. gRPC would still read it after a shutdown.
void DropReceived(int fd) {
  std::array<char, 1 << 14> dropped;
  while (recv(fd, dropped.data(), dropped.size(), MSG_DONTWAIT) > 0) {
  }
}

// Who calls over a connection with this peer.
std::string FindCaller(const std::string& peer) {
  return CallerName(peer.empty() ? "unix:" : peer);
}

int OpenSpare() {
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace

Connections::Connections(std::vector<Listener> listeners, const ConnectionLimits& limits,
                         Serve serve, Held held, const Clock& clock)
    : listeners_(std::move(listeners)),
      limits_(limits),
      serve_(std::move(serve)),
      held_(std::move(held)),
      clock_(clock),
      refusals_(clock) {}

Connections::~Connections() {
  End();
  MutexLock lock(mutex_);
  for (const auto& [duplicate, connection] : connections_) {
    if (connection.meter != nullptr) connection.meter->Close();
    close(duplicate);
  }
  for (const int fd : {epoll_, stop_, spare_}) {
    if (fd >= 0) close(fd);
  }
}

absl::Status Connections::Start() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  stop_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  spare_ = OpenSpare();
  bool ready = epoll_ >= 0 && stop_ >= 0 && spare_ >= 0 && Add(epoll_, stop_, EPOLLIN);
  for (const Listener& listener : listeners_) ready = ready && Add(epoll_, listener.fd(), EPOLLIN);
  if (!ready) {
    return absl::ResourceExhaustedError("the process has no file descriptor left to accept with");
  }
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "accept");
    Run();
  });
  return absl::OkStatus();
}

void Connections::Run() {
  std::array<epoll_event, kBurst> events;
  int pause = kMeterMs;  // between two looks at the memory
  auto look = std::chrono::steady_clock::now();
  while (!stopping_.load()) {
    const int count =
        epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), IsIdle() ? -1 : pause);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<size_t>(i)].data.fd;
      if (fd == stop_) continue;
      const auto listener =
          std::find_if(listeners_.begin(), listeners_.end(),
                       [fd](const Listener& candidate) { return candidate.fd() == fd; });
      if (listener != listeners_.end()) {
        AcceptFrom(*listener);
      } else {
        Forget(fd);
      }
    }
    if (const auto now = std::chrono::steady_clock::now(); now >= look) {
      pause = BoundMemory() ? kNearLimitMs : kMeterMs;
      look = now + std::chrono::milliseconds(pause);
    }
  }
}

bool Connections::IsIdle() const {
  MutexLock lock(mutex_);
  return connections_.empty();
}

bool Connections::BoundMemory() {
  MutexLock lock(mutex_);
  const int64_t held = held_();
  const bool near_limit = held > limits_.memory_bytes / 4 * 3;
  RememberUnexplained(near_limit);
  const bool lacks_memory = LacksMemory(held);
  const auto now = std::chrono::steady_clock::now();
  if (lacks_memory || now >= metered_ + std::chrono::milliseconds(kMeterMs)) {
    metered_ = now;
    EndUploads(lacks_memory);
  }
  return near_limit;
}

void Connections::EndUploads(bool lacks_memory) {
  std::vector<Upload> uploads = FindUploads(lacks_memory);
  int64_t total = 0;
  for (const Upload& upload : uploads) total += upload.bytes;
  const int64_t limit =
      lacks_memory ? std::min(limits_.upload_bytes, total - 1) : limits_.upload_bytes;
  if (uploads.empty() || total <= limit) return;
  if (lacks_memory) ended_ = std::chrono::steady_clock::now();
  for (const Upload& upload : ChooseUploadsToEnd(std::move(uploads), limit)) {
    const Connection& sender = connections_.at(upload.connection);
    ++stats_.ended_uploads;
    sender.meter->Close();
    shutdown(upload.connection, SHUT_RDWR);
    DropReceived(upload.connection);
    Log(LogLevel::kWarning, "ended a connection because what it sent holds too much memory",
        {{"peer", sender.peer},
         {"bytes", absl::StrCat(upload.bytes)},
         {"all_bytes", absl::StrCat(total)},
         {"limit", absl::StrCat(limits_.upload_bytes)},
         {"memory", absl::StrCat(lacks_memory ? held_then_ : 0)},
         {"memory_limit", absl::StrCat(limits_.memory_bytes)}});
  }
}

std::vector<Upload> Connections::FindUploads(bool lacks_memory) {
  std::vector<Upload> uploads;
  const auto add = [&uploads](int duplicate, const Connection& connection, int64_t bytes) {
    if (bytes > 0) uploads.push_back({duplicate, connection.caller, bytes});
  };
  if (!lacks_memory) {
    for (const int duplicate : calling_) {
      const Connection& connection = connections_.at(duplicate);
      add(duplicate, connection, connection.meter->UnfinishedBytes());
    }
    return uploads;
  }
  const bool freeing = std::chrono::steady_clock::now() < ended_ + kFreeing;
  for (const auto& [duplicate, connection] : connections_) {
    if (connection.meter == nullptr) continue;
    const int64_t sent = connection.meter->UnexplainedBytes() - connection.remembered;
    const int64_t unfinished = connection.meter->UnfinishedBytes();
    const int64_t bytes = sent < kSuspectBytes ? unfinished : std::max(unfinished, sent);
    // gRPC still reads what came from a connection that was ended.
    if (!freeing || bytes >= kSuspectBytes) add(duplicate, connection, bytes);
  }
  return uploads;
}

void Connections::RememberUnexplained(bool near_limit) {
  if (!near_limit) {
    remembered_at_ = absl::InfinitePast();
    return;
  }
  const absl::Time now = clock_.Now();
  if (now - remembered_at_ < kRemember) return;
  remembered_at_ = now;
  for (auto& [duplicate, connection] : connections_) {
    if (connection.meter != nullptr) connection.remembered = connection.meter->UnexplainedBytes();
  }
}

bool Connections::LacksMemory(int64_t held) {
  if (held <= limits_.memory_bytes) return false;
  // It takes a while until the memory of a connection that was ended is free.
  const auto now = std::chrono::steady_clock::now();
  if (held <= held_then_ && now < lacked_ + kFreeing) return false;
#ifdef __GLIBC__
  malloc_trim(0);  // what was freed before may still be held between blocks in use
  held = held_();
#endif
  lacked_ = now;
  held_then_ = held;
  return held > limits_.memory_bytes;
}

void Connections::AcceptFrom(const Listener& listener) {
  for (int i = 0; i < kBurst && !stopping_.load(); ++i) {
    if (!AcceptOne(listener)) return;
  }
}

bool Connections::AcceptOne(const Listener& listener) {
  sockaddr_storage name = {};
  socklen_t size = sizeof(name);
  const int fd = accept4(listener.fd(), reinterpret_cast<sockaddr*>(&name), &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
    if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) return true;
    TurnOneAway(listener);
    return false;
  }
  std::string peer = PeerName(name);
  const std::string caller = FindCaller(peer);
  std::optional<ConnectionRefusal> refusal;
  {
    MutexLock lock(mutex_);
    refusal = FindRefusal(caller);
    if (!refusal && IsFull()) EndOldestSilent();
    if (!refusal && !Watch(fd, {.caller = caller, .peer = std::move(peer), .meter = nullptr})) {
      refusal = ConnectionRefusal::kOpenFiles;
    }
  }
  if (refusal) {
    refusals_.Add(*refusal, caller);
    close(fd);
    return true;
  }
  serve_(listener, fd);
  return true;
}

// The system has no descriptor or no memory for a connection. Its caller must not wait for ever.
void Connections::TurnOneAway(const Listener& listener) {
  close(spare_);
  sockaddr_storage name = {};
  socklen_t size = sizeof(name);
  const int fd = accept4(listener.fd(), reinterpret_cast<sockaddr*>(&name), &size, SOCK_CLOEXEC);
  if (fd >= 0) {
    refusals_.Add(ConnectionRefusal::kOpenFiles, FindCaller(PeerName(name)));
    close(fd);
  }
  spare_ = OpenSpare();
  if (fd >= 0) return;
  pollfd stop = {stop_, POLLIN, 0};
  poll(&stop, 1, kPauseMs);
}

std::optional<ConnectionRefusal> Connections::FindRefusal(const std::string& caller) const {
  const auto found = callers_.find(caller);
  if (found != callers_.end() && found->second >= limits_.per_caller) {
    return ConnectionRefusal::kCallerConnections;
  }
  if (IsFull() && silent_.empty()) return ConnectionRefusal::kConnections;
  return std::nullopt;
}

bool Connections::IsFull() const {
  return stats_.open >= limits_.connections;
}

void Connections::EndOldestSilent() {
  const int duplicate = silent_.begin()->second;
  silent_.erase(silent_.begin());
  // Only Forget closes the duplicate: Run may hold an event of it, and its number must not come
  // back before.
  shutdown(duplicate, SHUT_RDWR);
  Connection& connection = connections_.at(duplicate);
  connection.replaced = true;
  --stats_.open;
  refusals_.Add(ConnectionRefusal::kSilent, connection.caller);
}

bool Connections::Watch(int fd, Connection connection) {
  const int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  // A hang-up is always told; nothing else is asked for.
  if (duplicate < 0 || !Add(epoll_, duplicate, EPOLLET)) {
    if (duplicate >= 0) close(duplicate);
    return false;
  }
  connection.number = ++stats_.accepted;
  ++stats_.open;
  ++callers_[connection.caller];
  if (!connection.peer.empty()) {
    peers_[connection.peer] = duplicate;
    silent_[connection.number] = duplicate;
    connection.meter =
        std::make_shared<UploadMeter>([duplicate] { return ReceivedBytes(duplicate); });
  }
  connections_.emplace(duplicate, std::move(connection));
  return true;
}

void Connections::Forget(int duplicate) {
  MutexLock lock(mutex_);
  const auto found = connections_.find(duplicate);
  if (found == connections_.end()) return;
  const auto caller = callers_.find(found->second.caller);
  if (--caller->second == 0) callers_.erase(caller);
  if (found->second.meter != nullptr) found->second.meter->Close();
  // The port may have come back in a newer connection.
  const auto peer = peers_.find(found->second.peer);
  if (peer != peers_.end() && peer->second == duplicate) peers_.erase(peer);
  if (!found->second.replaced) --stats_.open;
  silent_.erase(found->second.number);
  connections_.erase(found);
  calling_.erase(duplicate);
  // Closing alone would not do: epoll keeps watching as long as the other descriptor is open, and
  // would name the number again when it belongs to another connection.
  epoll_ctl(epoll_, EPOLL_CTL_DEL, duplicate, nullptr);
  close(duplicate);
}

void Connections::EndIfStalled(absl::string_view peer) {
  const std::string name = UnescapedPeer(peer);
  MutexLock lock(mutex_);
  const auto found = peers_.find(name);
  if (found == peers_.end()) return;
  const int duplicate = found->second;
  Connection& connection = connections_.at(duplicate);
  if (!HasUnsent(duplicate)) {
    connection.unsent_at = absl::InfinitePast();
    return;
  }
  const absl::Time now = clock_.Now();
  const absl::Duration passed = now - connection.unsent_at;
  if (passed < kStallTime) return;  // several answers may be late
  const int64_t taken = TakenBytes(duplicate);
  const bool comparable = passed < kForgetStall;
  if (comparable && taken - connection.taken < kLeastTaken) shutdown(duplicate, SHUT_RDWR);
  connection.unsent_at = now;
  connection.taken = taken;
}

std::shared_ptr<UploadMeter> Connections::FindMeter(absl::string_view peer) {
  const std::string name = UnescapedPeer(peer);
  MutexLock lock(mutex_);
  const auto found = peers_.find(name);
  if (found == peers_.end()) return nullptr;
  const Connection& connection = connections_.at(found->second);
  if (calling_.insert(found->second).second) silent_.erase(connection.number);
  return connection.meter;
}

void Connections::End() {
  if (stopping_.exchange(true)) return;
  if (thread_.joinable()) {
    eventfd_write(stop_, 1);
    thread_.join();
  }
  // Listeners first: who is turned away would otherwise come back at once.
  for (Listener& listener : listeners_) listener.Close();
  MutexLock lock(mutex_);
  // Only what is written: data that comes to a socket which reads no more resets it, and
  // what was not sent yet would be lost.
  for (const auto& [duplicate, connection] : connections_) shutdown(duplicate, SHUT_WR);
  for (int i = 0; i < kEndPolls; ++i) {
    if (std::none_of(connections_.begin(), connections_.end(),
                     [](const auto& entry) { return HasUnsent(entry.first); })) {
      return;
    }
    poll(nullptr, 0, kEndPollMs);
  }
}

ConnectionStats Connections::stats() const {
  MutexLock lock(mutex_);
  ConnectionStats stats = stats_;
  stats.refused = refusals_.counts();
  return stats;
}

absl::Status Connections::CanAccept() const {
  if (stopping_.load()) return absl::UnavailableError("the server takes no more connections");
  {
    MutexLock lock(mutex_);
    if (IsFull() && silent_.empty()) {
      return absl::UnavailableError(
          absl::StrCat("all of ", stats_.open, " connections are in use"));
    }
  }
  // A connection takes two.
  const std::array<int, 2> probes = {fcntl(stop_, F_DUPFD_CLOEXEC, 0),
                                     fcntl(stop_, F_DUPFD_CLOEXEC, 0)};
  bool left = true;
  for (const int probe : probes) {
    left = left && probe >= 0;
    if (probe >= 0) close(probe);
  }
  if (left) return absl::OkStatus();
  return absl::UnavailableError("the process has no file descriptor left for a connection");
}

}  // namespace attend
