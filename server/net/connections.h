// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_SERVER_NET_CONNECTIONS_H_
#define ATTEND_SERVER_NET_CONNECTIONS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "server/net/connection_refusals.h"
#include "server/net/listener.h"
#include "server/net/upload_meter.h"
#include "server/net/upload_share.h"

namespace attend {

struct ConnectionLimits {
  // Open at once. Where these are full, a new one takes the place of the oldest over TCP that never
  // had a call, if there is such a one.
  int64_t connections = 1024;
  int64_t per_caller = 256;  // open at once of one caller, as CallerName tells them apart
  // Of messages that are not complete, over TCP and all connections together, as UploadMeter
  // estimates them.
  int64_t upload_bytes = int64_t{576} << 20;
  // Of memory that the process holds. gRPC holds up to 40 bytes for a byte that comes in a frame of
  // its own, and 150 for a byte of headers before its settings are acknowledged. No meter sees
  // that.
  int64_t memory_bytes = std::numeric_limits<int64_t>::max();
};

// Counts since the start, and the connections that are open now.
struct ConnectionStats {
  int64_t open = 0;
  int64_t accepted = 0;
  ConnectionRefusalCounts refused{};
  int64_t ended_uploads = 0;  // ConnectionLimits::upload_bytes and memory_bytes
};

// Takes the connections of a server, hands each on, and can end it later. A connection over a limit
// is closed as soon as it is taken, so that the listener never fills up, and is counted and logged.
//
// Each connection has a second descriptor here, a duplicate of the one that was handed on. By it a
// thread of this class learns when the connection has ended, and it stays valid however its owner
// uses the first one.
//
// While there are connections, the same thread looks at the meters of those over TCP. If they
// hold more than they may together, connections end as ChooseUploadsToEnd says. While the process
// holds too much memory, the first of these connections ends; what a connection sent lately besides
// messages, such as headers, counts then too. Thread-safe.
class Connections {
 public:
  // Takes over a connection and its descriptor. Called on the thread that accepts.
  using Serve = std::function<void(const Listener& listener, int fd)>;

  // Returns the bytes of memory that the process holds. Called on the thread that accepts.
  using Held = std::function<int64_t()>;

  // `clock` outlives this. It bounds what is logged, and tells whether a peer stalls.
  Connections(
      std::vector<Listener> listeners, const ConnectionLimits& limits, Serve serve,
      Held held = [] { return int64_t{0}; }, const Clock& clock = Clock::Steady());
  ~Connections();  // as End; who serves has let go of every connection before
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  const std::vector<Listener>& listeners() const { return listeners_; }

  // Accepts from here on. RESOURCE_EXHAUSTED if the system has no descriptor for it.
  absl::Status Start();

  // To be called every kStallTime while something for the peer, named as gRPC does
  // ("ipv4:1.2.3.4:567"), should have left. Ends its connection in both directions, and what was
  // not sent yet is lost, if the peer has taken in less than kLeastTaken of what was written to the
  // socket since the call before. A socket from which all has left is not the peer's fault: whoever
  // writes to it is late. Does nothing for a peer without a connection, and for peers on Unix
  // sockets, which have no names.
  void EndIfStalled(absl::string_view peer);
  static constexpr absl::Duration kStallTime = absl::Milliseconds(100);
  static constexpr int64_t kLeastTaken = 64 << 10;  // bytes

  // Returns the meter of the connection with a peer, named likewise; nullptr if there is none, or
  // on a Unix socket, of which the kernel does not count bytes.
  std::shared_ptr<UploadMeter> FindMeter(absl::string_view peer);

  // Takes no more connections, and then ends what is written on each. Blocks until the peers have
  // received what was written before, for 100 ms at most. Nothing written later leaves. May be
  // called again.
  void End();

  ConnectionStats stats() const;

  // OK while one more connection would be taken. UNAVAILABLE that says why not: End was called, as
  // many that had calls are open as may be, or the process has no file descriptor left.
  absl::Status CanAccept() const;

 private:
  struct Connection {
    std::string caller;                  // key of callers_
    std::string peer;                    // key of peers_; empty on a Unix socket
    std::shared_ptr<UploadMeter> meter;  // nullptr on a Unix socket
    int64_t number = 0;                  // of those accepted
    bool replaced = false;               // EndOldestSilent ended it, and it is not open any more
    int64_t remembered = 0;              // what RememberUnexplained found last
    // When EndIfStalled found bytes that had not left, and how many its peer had taken in by then.
    absl::Time unsent_at = absl::InfinitePast();
    int64_t taken = 0;
  };

  void Run();
  void AcceptFrom(const Listener& listener);
  // Whether there was a connection to take.
  bool AcceptOne(const Listener& listener);
  void TurnOneAway(const Listener& listener);
  // Returns the limit that one more connection of the caller would exceed.
  std::optional<ConnectionRefusal> FindRefusal(const std::string& caller) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsFull() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the oldest connection of silent_, which is not empty.
  void EndOldestSilent() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Watches the connection by a duplicate; false: there is no descriptor for it.
  bool Watch(int fd, Connection connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(int duplicate);
  bool IsIdle() const;
  // Looks at the memory and, every kMeterMs, at the meters, and ends connections that hold too
  // much. Returns whether the process is near its limit, so that the next look must be soon.
  bool BoundMemory();
  void EndUploads(bool lacks_memory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What each connection holds that no service has; with too little memory, also what it just sent
  // besides messages.
  std::vector<Upload> FindUploads(bool lacks_memory) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Notes, near the limit and every kRemember, what the meters cannot explain.
  void RememberUnexplained(bool near_limit) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the process, which holds so much, holds more than it may, and no connection was just
  // ended for that.
  bool LacksMemory(int64_t held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::vector<Listener> listeners_;
  const ConnectionLimits limits_;
  const Serve serve_;
  const Held held_;
  const Clock& clock_;
  ConnectionRefusals refusals_;
  int epoll_ = -1;
  int stop_ = -1;   // an eventfd
  int spare_ = -1;  // is given up to take, and turn away, a connection where no other is left
  std::atomic<bool> stopping_{false};

  mutable Mutex mutex_;
  ConnectionStats stats_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<int, Connection> connections_ ABSL_GUARDED_BY(mutex_);   // by duplicate
  absl::flat_hash_map<std::string, int64_t> callers_ ABSL_GUARDED_BY(mutex_);  // their connections
  absl::flat_hash_map<std::string, int> peers_ ABSL_GUARDED_BY(mutex_);        // their duplicates
  // Those over TCP, by duplicate, that ever had a call: thousands that stay silent cost nothing.
  absl::flat_hash_set<int> calling_ ABSL_GUARDED_BY(mutex_);
  // The other ones over TCP, unless replaced: their duplicates, by number.
  absl::btree_map<int64_t, int> silent_ ABSL_GUARDED_BY(mutex_);
  absl::Time remembered_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::chrono::steady_clock::time_point metered_ ABSL_GUARDED_BY(mutex_);  // when EndUploads ran
  std::chrono::steady_clock::time_point ended_ ABSL_GUARDED_BY(mutex_);    // one for lacking memory
  // When LacksMemory was last true, and what was held then.
  std::chrono::steady_clock::time_point lacked_ ABSL_GUARDED_BY(mutex_);
  int64_t held_then_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace attend

#endif  // ATTEND_SERVER_NET_CONNECTIONS_H_
