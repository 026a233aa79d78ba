// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/server/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <netdb.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "server/net/address.h"

namespace attend {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Removed with its contents when the test program ends.
struct TestDirectory {
  TestDirectory() {
    char path[] = "/tmp/attend-test-XXXXXX";
    name = mkdtemp(path);
  }
  ~TestDirectory() { std::filesystem::remove_all(name); }
  std::string name;
};

int64_t StatusBytes(pid_t pid, const std::string& key) {
  const std::string status = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  for (const absl::string_view line : absl::StrSplit(status, '\n')) {
    if (!absl::StartsWith(line, key)) continue;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    int64_t kib = 0;
    if (words.size() >= 3 && absl::SimpleAtoi(words[words.size() - 2], &kib)) return kib << 10;
  }
  return 0;
}

}  // namespace

Process::Process(const std::string& program, const std::vector<std::string>& arguments) {
  static std::atomic<int> count{0};
  output_path_ = TestPath(absl::StrCat("output-", ++count));
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ != 0) return;
  // Uses only calls that are safe after a fork of a program with threads.
  const int output = open(output_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execv(argv[0], argv.data());
  _exit(127);
}

Process::~Process() {
  if (exit_code_ >= 0) return;
  Signal(SIGKILL);
  Wait();
}

void Process::Signal(int signal) const {
  kill(pid_, signal);
}

int Process::Wait() {
  int status = 0;
  const auto has_ended = [&] { return waitpid(pid_, &status, WNOHANG) != 0; };
  if (!Eventually(has_ended, std::chrono::minutes(2))) {
    std::cerr << "the program did not end; it wrote:\n" << Output();
    Signal(SIGKILL);
    waitpid(pid_, &status, 0);
  }
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

std::string Process::Output() const {
  return ReadFile(output_path_);
}

std::string TestPath(const std::string& name) {
  static const TestDirectory directory;
  return absl::StrCat(directory.name, "/", name);
}

ServerProcess::ServerProcess(std::vector<std::string> flags)
    : ServerProcess(ATTEND_SERVER, {}, std::move(flags)) {}

ServerProcess::ServerProcess(const std::string& program, std::vector<std::string> lead,
                             std::vector<std::string> flags) {
  static std::atomic<int> count{0};
  const int number = ++count;
  const std::string port_file = TestPath(absl::StrCat("ports-", number));
  unix_ = absl::StrCat("unix:", TestPath(absl::StrCat("socket-", number)));
  const auto add = [&](const std::string& name, const std::string& value) {
    flags.push_back(absl::StrCat(name, "=", value));
  };
  // Comes before the test's own listeners: addresses are known by their order.
  flags.insert(flags.begin(), {"--listen=127.0.0.1:0", absl::StrCat("--listen=", unix_)});
  add("--metrics-listen", "127.0.0.1:0");
  add("--port-file", port_file);
  if (std::none_of(flags.begin(), flags.end(), [](const std::string& flag) {
        return absl::StartsWith(flag, "--drain-delay=");
      })) {
    add("--drain-delay", "0s");
  }
  lead.insert(lead.end(), flags.begin(), flags.end());
  process_ = std::make_unique<Process>(program, lead);
  if (!Eventually([&] { return std::filesystem::exists(port_file); })) {
    std::cerr << "the server did not start:\n" << process_->Output();
    std::abort();
  }
  const nlohmann::json addresses = nlohmann::json::parse(ReadFile(port_file));
  addresses_ = addresses.at("grpc").get<std::vector<std::string>>();
  tcp_ = addresses_.at(0);
  metrics_ = addresses.at("metrics");
}

ServerProcess::~ServerProcess() {
  if (testing::Test::HasFailure()) std::cerr << "the server wrote:\n" << process_->Output();
}

HoldableServer::HoldableServer(std::vector<std::string> flags)
    : ServerProcess(ATTEND_HOLDABLE_SERVER, {TestPath("hold")}, std::move(flags)),
      lock_(open(TestPath("hold").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}

HoldableServer::~HoldableServer() {
  close(lock_);
}

void HoldableServer::Hold() {
  flock(lock_, LOCK_EX);
}

void HoldableServer::Release() {
  flock(lock_, LOCK_UN);
}

std::shared_ptr<grpc::Channel> ServerProcess::Channel(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

std::map<std::string, double> ServerProcess::Metrics() const {
  std::map<std::string, double> metrics;
  for (const absl::string_view line : absl::StrSplit(HttpGet(metrics_, "/metrics").body, '\n')) {
    const size_t space = line.rfind(' ');
    double value = 0;
    if (absl::StartsWith(line, "#") || space == absl::string_view::npos ||
        !absl::SimpleAtod(line.substr(space + 1), &value)) {
      continue;
    }
    metrics[std::string(line.substr(0, space))] = value;
  }
  return metrics;
}

int64_t ServerProcess::ResidentBytes() const {
  return StatusBytes(process_->pid(), "VmRSS:");
}
int64_t ServerProcess::PeakResidentBytes() const {
  return StatusBytes(process_->pid(), "VmHWM:");
}

double Sum(const std::map<std::string, double>& metrics, const std::string& name,
           const std::vector<std::string>& labels) {
  double sum = 0;
  for (const auto& [series, value] : metrics) {
    if (series.substr(0, series.find('{')) != name) continue;
    bool all = true;
    for (const std::string& label : labels) all = all && absl::StrContains(series, label);
    if (all) sum += value;
  }
  return sum;
}

int ConnectTcp(const std::string& address, const std::string& source) {
  const absl::StatusOr<HostPort> target = ParseHostPort(address);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (!target.ok() || getaddrinfo(target->host.c_str(), std::to_string(target->port).c_str(),
                                  &hints, &found) != 0) {
    return -1;
  }
  int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
  sockaddr_in own = {};
  own.sin_family = AF_INET;
  if ((inet_pton(AF_INET, source.c_str(), &own.sin_addr) == 1 &&
       bind(fd, reinterpret_cast<sockaddr*>(&own), sizeof(own)) != 0) ||
      connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
    close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  return fd;
}

HttpAnswer HttpGet(const std::string& address, const std::string& path) {
  HttpAnswer answer;
  const int fd = ConnectTcp(address);
  if (fd < 0) return answer;
  const std::string request =
      absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
  if (send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    close(fd);
    return answer;
  }
  std::string text;
  char buffer[65536];
  for (ssize_t n = 0; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  const std::vector<absl::string_view> words = absl::StrSplit(text, absl::MaxSplits(' ', 2));
  if (words.size() > 1) static_cast<void>(absl::SimpleAtoi(words[1], &answer.code));
  const size_t body = text.find("\r\n\r\n");
  if (body != std::string::npos) answer.body = text.substr(body + 4);
  return answer;
}

}  // namespace attend
