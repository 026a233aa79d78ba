// SPDX-License-Identifier: Apache-2.0
#include "server/lifecycle/health_check.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <chrono>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/read_file.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "server/net/address.h"
#include "server/telemetry/log_quoted.h"

namespace attend {
namespace {

namespace tls = grpc::experimental;

std::shared_ptr<grpc::ChannelCredentials> Credentials(const TlsConfig& config, bool unix_socket) {
  if (config.cert_file.empty() || unix_socket) return grpc::InsecureChannelCredentials();
  tls::TlsChannelCredentialsOptions options;
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::make_shared<tls::NoOpCertificateVerifier>());
  if (!config.client_ca_file.empty()) {
    options.set_certificate_provider(
        std::make_shared<tls::StaticDataCertificateProvider>(std::vector<tls::IdentityKeyCertPair>{
            {ReadFile(config.key_file), ReadFile(config.cert_file)}}));
    options.watch_identity_key_cert_pairs();
  }
  return tls::TlsCredentials(options);
}

}  // namespace

std::string HealthTarget(const std::string& listen) {
  if (!UnixPath(listen).empty()) return listen;
  const absl::StatusOr<HostPort> address = ParseHostPort(listen);
  if (!address.ok()) return listen;
  if (address->host == "0.0.0.0") return absl::StrCat("127.0.0.1:", address->port);
  if (address->host == "[::]") return absl::StrCat("[::1]:", address->port);
  return listen;
}

absl::Status CheckHealth(const ServerConfig& config, const std::string& target,
                         absl::Duration timeout) {
  const std::string address = target.empty() ? HealthTarget(config.listen.front()) : target;
  const auto channel =
      grpc::CreateChannel(address, Credentials(config.tls, !UnixPath(address).empty()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(timeout));
  context.set_wait_for_ready(false);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status =
      grpc::health::v1::Health::NewStub(channel)->Check(&context, {}, &response);
  if (!status.ok()) {
    return absl::UnavailableError(absl::StrCat(address, ": ", LogQuoted(status.error_message())));
  }
  if (response.status() != grpc::health::v1::HealthCheckResponse::SERVING) {
    return absl::UnavailableError(absl::StrCat(address, " is not serving"));
  }
  return absl::OkStatus();
}

}  // namespace attend
