// SPDX-License-Identifier: Apache-2.0
#include "client/cli/standard_streams.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace attend::cli {
namespace {

// The only option whose file is the stream; empty where none is.
absl::StatusOr<absl::string_view> FindOnly(const std::vector<NamedFile>& files,
                                           absl::string_view stream, absl::string_view verb) {
  absl::string_view found;
  for (const NamedFile& each : files) {
    if (!IsStandardStream(each.file) && !absl::StartsWith(each.file, "-#")) continue;
    if (!found.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(found, " and ", each.option, " cannot both ",
                                                     verb, " ", stream,
                                                     "; use a file for one of them"));
    }
    found = each.option;
  }
  return found;
}

}  // namespace

bool IsStandardStream(absl::string_view file) {
  return file == "-";
}

absl::Status CheckStandardInput(const std::vector<NamedFile>& files) {
  const absl::StatusOr<absl::string_view> option = FindOnly(files, "standard input", "read");
  if (!option.ok()) return option.status();
  if (option->empty() || isatty(STDIN_FILENO) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      *option, " reads standard input, which is a terminal; redirect a file or a pipe to it"));
}

absl::Status CheckStandardOutput(const std::vector<NamedFile>& files, bool is_binary) {
  const absl::StatusOr<absl::string_view> option = FindOnly(files, "standard output", "write");
  if (!option.ok()) return option.status();
  if (option->empty() || !is_binary || isatty(STDOUT_FILENO) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(*option,
                   " writes binary data to standard output, which is a terminal; redirect "
                   "it to a file or a pipe"));
}

absl::StatusOr<std::string> ReadStandardInput() {
  std::string all;
  constexpr size_t kStep = size_t{1} << 20;
  for (;;) {
    const size_t size = all.size();
    all.resize(size + kStep);
    ssize_t got = 0;
    do {
      got = read(STDIN_FILENO, all.data() + size, kStep);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return absl::ErrnoToStatus(errno, "standard input");
    all.resize(size + static_cast<size_t>(got));
    if (got == 0) return all;
  }
}

absl::Status WriteStandardOutput(const std::vector<absl::string_view>& parts) {
  std::fflush(stdout);
  for (absl::string_view part : parts) {
    while (!part.empty()) {
      const ssize_t done = write(STDOUT_FILENO, part.data(), part.size());
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return absl::ErrnoToStatus(errno, "standard output");
      part.remove_prefix(static_cast<size_t>(done));
    }
  }
  return absl::OkStatus();
}

}  // namespace attend::cli
