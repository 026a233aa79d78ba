// SPDX-License-Identifier: Apache-2.0
#include "server/net/connections.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/net/sockets.h"
#include "tests/support/fake_clock.h"

namespace attend {
namespace {

// Connections on the loopback and on a Unix socket, with one who serves them by keeping them open.
class ConnectionsTest : public testing::Test {
 protected:
  ConnectionsTest() {
    char path[] = "/tmp/attend-test-XXXXXX";
    directory_ = mkdtemp(path);
  }
  ~ConnectionsTest() override {
    for (const int fd : served_) close(fd);
    std::filesystem::remove_all(directory_);
  }

  void Start(const ConnectionLimits& limits = {}, int64_t held = 0) {
    std::vector<Listener> listeners;
    for (const std::string& address : {std::string("127.0.0.1:0"), "unix:" + directory_ + "/s"}) {
      auto opened = Listener::Open(address);
      ASSERT_TRUE(opened.ok()) << opened.status();
      listeners.push_back(std::move(opened->front()));
    }
    tcp_ = listeners[0].address();
    unix_ = listeners[1].address();
    connections_ = std::make_unique<Connections>(
        std::move(listeners), limits,
        [this](const Listener& listener, int fd) {
          MutexLock lock(mutex_);
          served_.push_back(fd);
          from_unix_ += listener.is_unix();
          changed_.NotifyAll();
        },
        [this] {
          ++asked_;
          return held_.load();
        },
        clock_);
    held_ = held;
    ASSERT_TRUE(connections_->Start().ok());
  }

  // Blocks until so many were handed on, and returns the last of them.
  int WaitForServed(size_t count) {
    MutexLock lock(mutex_);
    while (served_.size() < count) changed_.Wait(mutex_);
    return served_[count - 1];
  }

  // Whoever serves a connection lets go of it.
  void LetGo(size_t index) {
    MutexLock lock(mutex_);
    shutdown(served_[index], SHUT_RDWR);
    close(std::exchange(served_[index], -1));
  }

  int64_t Refused(ConnectionRefusal refusal) const {
    return connections_->stats().refused[static_cast<size_t>(refusal)];
  }

  // The thread that accepts learns of an end on its own.
  void WaitForOpen(int64_t count) {
    while (connections_->stats().open != count) std::this_thread::yield();
  }

  std::string directory_, tcp_, unix_;
  std::atomic<int64_t> held_{0};   // memory of the process
  std::atomic<int64_t> asked_{0};  // how often for it
  FakeClock clock_;
  std::unique_ptr<Connections> connections_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<int> served_ ABSL_GUARDED_BY(mutex_);
  int from_unix_ ABSL_GUARDED_BY(mutex_) = 0;
};

TEST_F(ConnectionsTest, HandsOnEachConnectionAndLearnsOfItsEnd) {
  Start();
  {
    const ClientSocket first(tcp_), second(unix_);
    WaitForServed(2);
    WaitForOpen(2);
    {
      MutexLock lock(mutex_);
      EXPECT_EQ(from_unix_, 1);
    }
    LetGo(0);
    EXPECT_TRUE(first.WaitForEnd());
  }
  LetGo(1);
  WaitForOpen(0);
  EXPECT_EQ(connections_->stats().accepted, 2);
}

TEST_F(ConnectionsTest, ClosesWhatIsOverTheLimitAndTakesMoreOnceOneHasEnded) {
  Start({/*connections=*/2, /*per_caller=*/2});
  const ClientSocket first(tcp_), second(unix_);
  WaitForServed(2);
  connections_->FindMeter(first.PeerName());  // it has had a call
  EXPECT_EQ(connections_->CanAccept().message(), "all of 2 connections are in use");
  const ClientSocket third(tcp_);
  EXPECT_TRUE(third.WaitForEnd());
  EXPECT_EQ(Refused(ConnectionRefusal::kConnections), 1);
  LetGo(0);
  WaitForOpen(1);
  EXPECT_TRUE(connections_->CanAccept().ok());
  const ClientSocket fourth(tcp_);
  WaitForServed(3);
  EXPECT_EQ(Refused(ConnectionRefusal::kConnections), 1);
}

// Those who never called kept everybody else out, by so many addresses that none was over its
// limit.
TEST_F(ConnectionsTest, EndsTheOldestThatNeverHadACallForANewOne) {
  Start({/*connections=*/4, /*per_caller=*/2});
  const ClientSocket caller(tcp_), local(unix_);
  WaitForServed(2);
  connections_->FindMeter(caller.PeerName());
  const ClientSocket oldest(tcp_, "127.0.0.2"), silent(tcp_, "127.0.0.3");
  WaitForServed(4);
  EXPECT_TRUE(connections_->CanAccept().ok());
  const ClientSocket first_new(tcp_, "127.0.0.4");
  WaitForServed(5);
  EXPECT_TRUE(oldest.WaitForEnd());
  connections_->FindMeter(silent.PeerName());
  const ClientSocket second_new(tcp_, "127.0.0.5");
  WaitForServed(6);
  EXPECT_TRUE(first_new.WaitForEnd());
  EXPECT_EQ(Refused(ConnectionRefusal::kSilent), 2);
  EXPECT_EQ(connections_->stats().open, 4);
  // Whoever serves those that were ended learns of it.
  LetGo(2);
  LetGo(4);
  connections_->FindMeter(second_new.PeerName());
  EXPECT_FALSE(connections_->CanAccept().ok());
  EXPECT_TRUE(ClientSocket(tcp_, "127.0.0.6").WaitForEnd());
  EXPECT_EQ(Refused(ConnectionRefusal::kConnections), 1);
  EXPECT_EQ(connections_->stats().open, 4);
  LetGo(0);
  LetGo(1);
  LetGo(3);
  LetGo(5);
  WaitForOpen(0);
}

TEST_F(ConnectionsTest, EndsNoConnectionForACallerThatHasTooMany) {
  Start({/*connections=*/2, /*per_caller=*/1});
  const ClientSocket first(tcp_), second(tcp_, "127.0.0.2");
  WaitForServed(2);
  EXPECT_TRUE(ClientSocket(tcp_).WaitForEnd());
  EXPECT_EQ(Refused(ConnectionRefusal::kCallerConnections), 1);
  EXPECT_EQ(Refused(ConnectionRefusal::kSilent), 0);
}

// Refused connections were only counted, so that nobody could tell whose they were.
TEST_F(ConnectionsTest, LogsRefusedConnectionsButNoMoreThanSomeInASecond) {
  testing::internal::CaptureStderr();
  Start({/*connections=*/2, /*per_caller=*/1});
  const ClientSocket first(tcp_);
  WaitForServed(1);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(ClientSocket(tcp_).WaitForEnd());
  clock_.Advance(absl::Seconds(1));
  EXPECT_TRUE(ClientSocket(tcp_).WaitForEnd());
  const ClientSocket other(tcp_, "127.0.0.2");
  WaitForServed(2);
  connections_->FindMeter(first.PeerName());
  connections_->FindMeter(other.PeerName());
  EXPECT_TRUE(ClientSocket(unix_).WaitForEnd());
  const std::string log = testing::internal::GetCapturedStderr();
  const std::vector<std::string> lines = absl::StrSplit(log, '\n', absl::SkipEmpty());
  const std::string caller =
      "connection refused caller=\"ipv4:127.0.0.1\" limit=\"caller_connections\" lines_left_out=";
  ASSERT_EQ(lines.size(), 7u) << log;
  for (int i = 0; i < 5; ++i) EXPECT_THAT(lines[i], testing::EndsWith(caller + "\"0\""));
  EXPECT_THAT(lines[5], testing::EndsWith(caller + "\"3\""));
  EXPECT_THAT(lines[6], testing::EndsWith("connection refused caller=\"unix\" "
                                          "limit=\"connections\" lines_left_out=\"0\""));
}

TEST_F(ConnectionsTest, LimitsEachCallerForItself) {
  Start({/*connections=*/100, /*per_caller=*/2});
  const ClientSocket first(tcp_), second(tcp_);
  WaitForServed(2);
  const ClientSocket third(tcp_);
  EXPECT_TRUE(third.WaitForEnd());
  const ClientSocket other(tcp_, "127.0.0.2"), local(unix_);
  WaitForServed(4);
  EXPECT_EQ(Refused(ConnectionRefusal::kCallerConnections), 1);
  EXPECT_EQ(Refused(ConnectionRefusal::kConnections), 0);
}

// Sends more than the peer has room for, so that some bytes wait on this side.
size_t Fill(int fd) {
  size_t written = 0;
  const std::string piece(4096, 'x');
  for (;;) {
    const ssize_t n = send(fd, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n <= 0) return written;
    written += static_cast<size_t>(n);
  }
}

// Whether the server has ended the connection, of which the peer reads what has come.
bool EndsBefore(const ClientSocket& peer, size_t bytes) {
  std::string read(1 << 16, ' ');
  while (bytes > 0) {
    const ssize_t some = recv(peer.fd(), read.data(), read.size(), 0);
    if (some <= 0) return true;
    bytes -= static_cast<size_t>(some);
  }
  return false;
}

TEST_F(ConnectionsTest, EndsTheConnectionOfThePeerAloneThatTakesInNothing) {
  Start();
  const ClientSocket first(tcp_), second(tcp_);
  const int fills_first = WaitForServed(1), fills_second = WaitForServed(2);
  const size_t to_first = Fill(fills_first), to_second = Fill(fills_second);
  connections_->EndIfStalled("ipv4:127.0.0.1:1");
  connections_->EndIfStalled("unix:");
  for (int i = 0; i < 2; ++i) {
    connections_->EndIfStalled(first.PeerName());
    clock_.Advance(Connections::kStallTime);
  }
  EXPECT_TRUE(EndsBefore(first, to_first + 1));
  EXPECT_FALSE(EndsBefore(second, to_second));
}

// A server that is short of time is late with answers to peers who read all that leaves.
TEST_F(ConnectionsTest, KeepsTheConnectionOfAPeerThatTakesInWhatIsSent) {
  Start();
  const ClientSocket idle(tcp_), reader(tcp_);
  const int fills_idle = WaitForServed(1), fills_reader = WaitForServed(2);
  for (int i = 0; i < 20; ++i) {
    connections_->EndIfStalled(idle.PeerName());
    const size_t sent = Fill(fills_reader);
    connections_->EndIfStalled(reader.PeerName());
    EXPECT_FALSE(EndsBefore(reader, sent));
    clock_.Advance(Connections::kStallTime);
  }
  ASSERT_EQ(send(fills_idle, "x", 1, MSG_NOSIGNAL), 1);
  EXPECT_FALSE(idle.WaitForEnd());
}

TEST_F(ConnectionsTest, JudgesAPeerByATimeAndNotByTheNumberOfLateAnswers) {
  Start();
  const ClientSocket peer(tcp_);
  const size_t sent = Fill(WaitForServed(1));
  for (int i = 0; i < 10; ++i) connections_->EndIfStalled(peer.PeerName());
  clock_.Advance(absl::Hours(1));  // what was late then has left or was given up
  connections_->EndIfStalled(peer.PeerName());
  EXPECT_FALSE(EndsBefore(peer, sent));
}

// The number of a duplicate comes back, while whoever serves the first connection still holds it.
TEST_F(ConnectionsTest, ForgetsAConnectionOnlyOnce) {
  const int lowest = dup(STDIN_FILENO);
  Start();
  int served = -1;
  {
    const ClientSocket first(unix_);
    served = WaitForServed(1);
  }
  WaitForOpen(0);
  // The next client gets this number, the server's end that of the first client, and the duplicate
  // that of the first duplicate.
  close(lowest);
  const ClientSocket second(tcp_);
  WaitForServed(2);
  shutdown(served, SHUT_RDWR);  // tells whoever watches that connection again
  const ClientSocket third(tcp_);
  WaitForServed(3);
  EXPECT_EQ(connections_->stats().open, 2);
}

// gRPC's own listener stops for good here.
TEST_F(ConnectionsTest, TakesConnectionsAgainAfterTheProcessHadNoDescriptorLeft) {
  Start();
  std::vector<ClientSocket> clients;
  clients.emplace_back(tcp_);
  WaitForServed(1);
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  // A client's socket is made before the limit falls, so only the server's side lacks one.
  const int pending = socket(AF_INET, SOCK_STREAM, 0);
  const int lowest = dup(pending);
  close(lowest);
  rlimit none_left = before;
  none_left.rlim_cur = static_cast<rlim_t>(lowest);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none_left), 0);
  sockaddr_in name = {};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(static_cast<uint16_t>(ParseHostPort(tcp_)->port));
  EXPECT_EQ(connect(pending, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  char byte = 0;
  EXPECT_LE(recv(pending, &byte, 1, 0), 0) << "the connection was not turned away";
  const absl::Status none = connections_->CanAccept();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  close(pending);
  EXPECT_EQ(none.message(), "the process has no file descriptor left for a connection");
  EXPECT_TRUE(connections_->CanAccept().ok());
  EXPECT_EQ(Refused(ConnectionRefusal::kOpenFiles), 1);
  clients.emplace_back(tcp_);
  WaitForServed(2);
}

TEST_F(ConnectionsTest, EndsTheLargestUploadWhileTheProcessHoldsTooMuchMemory) {
  ConnectionLimits limits;
  limits.memory_bytes = 1000;
  Start(limits, /*held=*/1000);
  const ClientSocket idle(tcp_), large(tcp_), small(tcp_), largest(tcp_);
  WaitForServed(4);
  const auto upload = [&](const ClientSocket& client, size_t bytes) {
    connections_->FindMeter(client.PeerName())->Begin();
    const std::string piece(bytes, 'x');
    ASSERT_EQ(send(client.fd(), piece.data(), bytes, 0), static_cast<ssize_t>(bytes));
  };
  upload(large, 20'000);
  upload(small, 10);
  upload(largest, 30'000);
  const auto wait_for_ended = [&](int64_t count) {
    while (connections_->stats().ended_uploads != count) std::this_thread::yield();
  };
  held_ = 1001;
  EXPECT_TRUE(largest.WaitForEnd());
  // The memory of that connection takes a while to be free; only if more is held, another ends.
  held_ = 1002;
  EXPECT_TRUE(large.WaitForEnd());
  wait_for_ended(2);
  // It still grows by what these two have sent, for which one that sends little is not ended.
  held_ = 1003;
  for (const int64_t before = asked_; asked_ < before + 4;) std::this_thread::yield();
  held_ = 1000;
  const char byte = 'y';
  ASSERT_EQ(send(WaitForServed(3), &byte, 1, MSG_NOSIGNAL), 1);
  EXPECT_FALSE(small.WaitForEnd());
  EXPECT_EQ(connections_->stats().ended_uploads, 2);
}

// Headers belong to no message, and become many times as large in gRPC.
TEST_F(ConnectionsTest, EndsWhoSendsWhatIsNoMessageWhileTheProcessHoldsTooMuchMemory) {
  ConnectionLimits limits;
  limits.memory_bytes = 1000;
  Start(limits, /*held=*/1001);
  const ClientSocket caller(tcp_), hostile(tcp_);
  const int served = WaitForServed(1);
  WaitForServed(2);
  // A look learns what was sent before. It asks twice; the third time is of the next look.
  ++held_;
  for (const int64_t before = asked_; asked_ < before + 3;) std::this_thread::yield();
  const std::string headers(32 << 10, 'x'), call(1 << 10, 'x');
  for (const auto& [client, bytes] : {std::pair(&hostile, &headers), {&caller, &call}}) {
    ASSERT_EQ(send(client->fd(), bytes->data(), bytes->size(), 0),
              static_cast<ssize_t>(bytes->size()));
  }
  ++held_;
  EXPECT_TRUE(hostile.WaitForEnd());
  const char byte = 'y';
  ASSERT_EQ(send(served, &byte, 1, MSG_NOSIGNAL), 1);
  EXPECT_FALSE(caller.WaitForEnd());
  EXPECT_EQ(connections_->stats().ended_uploads, 1);
}

size_t ReadAll(int fd) {
  size_t all = 0;
  char piece[4096];
  for (ssize_t n = read(fd, piece, sizeof(piece)); n > 0; n = read(fd, piece, sizeof(piece))) {
    all += static_cast<size_t>(n);
    // Answers what it reads, as a peer of HTTP/2 does.
    EXPECT_EQ(send(fd, "y", 1, MSG_NOSIGNAL), 1);
  }
  return all;
}

TEST_F(ConnectionsTest, EndsAfterAllThatWasWrittenAndTakesNoMore) {
  Start();
  const ClientSocket tcp(tcp_);
  const int tcp_served = WaitForServed(1);
  const ClientSocket local(unix_);
  const int unix_served = WaitForServed(2);
  const size_t to_tcp = Fill(tcp_served), to_local = Fill(unix_served);
  ASSERT_GT(to_tcp, 0u);
  ASSERT_GT(to_local, 0u);
  connections_->End();
  EXPECT_EQ(connections_->CanAccept().message(), "the server takes no more connections");
  EXPECT_EQ(send(tcp_served, "y", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(send(unix_served, "y", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(ReadAll(tcp.fd()), to_tcp);
  EXPECT_EQ(ReadAll(local.fd()), to_local);
  EXPECT_LT(ClientSocket(tcp_).fd(), 0);
  EXPECT_LT(ClientSocket(unix_).fd(), 0);
}

}  // namespace
}  // namespace attend
