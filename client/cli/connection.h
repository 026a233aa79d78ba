// SPDX-License-Identifier: Apache-2.0
#ifndef ATTEND_CLIENT_CLI_CONNECTION_H_
#define ATTEND_CLIENT_CLI_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "attend/client.h"
#include "client/cli/args.h"
#include "client/cli/standard_streams.h"

namespace attend::cli {

// The options that lead to a server and apply to every call. Those that have an environment
// variable prefer the option to it.
struct Connection {
  std::vector<std::string> servers;
  bool tls = false;
  bool plaintext = false;
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_server_name;
  absl::Duration timeout = client::kDefaultTimeout;
  int64_t max_attempts = 5;
  int64_t channels = 1;
  std::vector<std::string> headers;
  std::string token_file;
  bool verbose = false;

  void AddTo(Args& args);

  // The files that Connect reads.
  std::vector<NamedFile> InputFiles() const;

  // Connects with the first call, not here. INVALID_ARGUMENT: an option or an environment variable
  // is wrong; other codes as ReadWholeFile and client::Client::Create.
  absl::StatusOr<std::unique_ptr<client::Client>> Connect();

  // After Connect. Calls with these are reported on standard error if `verbose`.
  client::CallOptions call_options() const;

 private:
  absl::StatusOr<bool> UsesTls() const;
  absl::Status ReadTls(client::ClientOptions* options) const;
  // Adds the token of the file to the metadata, if there is a file.
  absl::Status ReadToken();

  // Of `headers` and `token_file`; set by Connect.
  client::Metadata metadata_;
  std::string request_id_;
};

}  // namespace attend::cli

#endif  // ATTEND_CLIENT_CLI_CONNECTION_H_
