// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_TESTS_INTEGRATION_SERVER_SERVER_PROCESS_H_
#define ATTEND_TESTS_INTEGRATION_SERVER_SERVER_PROCESS_H_

#include <grpcpp/channel.h>
#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace attend {

// A program that was started, with its output. The destructor ends it with SIGKILL at the
// latest.
class Process {
 public:
  Process(const std::string& program, const std::vector<std::string>& arguments);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;

  // Blocks until the program ends. Returns its exit code, or 128 + the signal that ended it. A
  // program that does not end within two minutes is killed, and what it wrote is printed.
  int Wait();

  // Standard output and error so far.
  std::string Output() const;

 private:
  pid_t pid_ = -1;
  int exit_code_ = -1;
  std::string output_path_;
};

// A path in a directory of this test program, for sockets and files.
std::string TestPath(const std::string& name);

// The attend-server of this build, serving on free ports of the loopback and a Unix socket. Ends
// the test program if the server does not start.
class ServerProcess {
 public:
  // Flags besides those for listeners and metrics. "--random-layer" is not implied.
  explicit ServerProcess(std::vector<std::string> flags = {});

  // Prints the server's output if the test has failed.
  ~ServerProcess();

  Process& process() { return *process_; }
  const std::string& tcp() const { return tcp_; }
  const std::string& unix_socket() const { return unix_; }
  const std::string& metrics_address() const { return metrics_; }
  // Those of gRPC: tcp(), unix_socket(), then those of the flags.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Returns a channel with its own connection.
  std::shared_ptr<grpc::Channel> Channel() const { return Channel(tcp_); }
  static std::shared_ptr<grpc::Channel> Channel(const std::string& target);

  // Returns series with their labels, as in the text format: `name{a="b"}`.
  std::map<std::string, double> Metrics() const;

  // Bytes resident now, and the most since the start.
  int64_t ResidentBytes() const;
  int64_t PeakResidentBytes() const;

 protected:
  // `lead` comes before the flags.
  ServerProcess(const std::string& program, std::vector<std::string> lead,
                std::vector<std::string> flags);

 private:
  std::unique_ptr<Process> process_;
  std::string tcp_, unix_, metrics_;
  std::vector<std::string> addresses_;
};

// A server whose engine can be held between two tasks for as long as a test needs it busy. To be
// used by one thread.
class HoldableServer : public ServerProcess {
 public:
  explicit HoldableServer(std::vector<std::string> flags);
  ~HoldableServer();

  void Hold();
  void Release();  // also if it is not held

 private:
  int lock_;  // the file that the server looks at
};

// The sum over the series of a family whose labels hold all of `labels`.
double Sum(const std::map<std::string, double>& metrics, const std::string& name,
           const std::vector<std::string>& labels = {});

// GET over HTTP/1.1: status code and body.
struct HttpAnswer {
  int code = 0;
  std::string body;
};
HttpAnswer HttpGet(const std::string& address, const std::string& path);

// A blocking TCP connection to HOST:PORT, from `source` if that is set, which is one of the
// loopback's IPv4 addresses; -1 if it is refused.
int ConnectTcp(const std::string& address, const std::string& source = "");

// Sanitizers keep freed memory and shadow it, so that figures of RSS are meaningless, and
// compute many times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// Polls until `done()` or until `limit` has passed; returns whether `done()` was true. For states
// that only show from outside the process.
template <typename Done>
bool Eventually(Done done, std::chrono::seconds limit = std::chrono::seconds(30));

}  // namespace attend

#include <thread>

template <typename Done>
bool attend::Eventually(Done done, std::chrono::seconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

#endif  // ATTEND_TESTS_INTEGRATION_SERVER_SERVER_PROCESS_H_
