// SPDX-License-Identifier: Apache-2.0
#include "server/security/tls_files.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/read_file.h"
#include "core/base/status.h"
#include "server/security/pem.h"

namespace attend {
namespace {

// A setting whose value is a file, as errors name it.
struct FileSetting {
  absl::string_view flag;
  const std::string& path;

  absl::Status Wrong(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(flag, ": ", path, " ", what));
  }
};

FileSetting Chain(const TlsConfig& config) {
  return {"--tls-cert", config.cert_file};
}
FileSetting Key(const TlsConfig& config) {
  return {"--tls-key", config.key_file};
}
FileSetting ClientCa(const TlsConfig& config) {
  return {"--tls-client-ca", config.client_ca_file};
}

absl::StatusOr<std::string> Read(const FileSetting& setting) {
  absl::StatusOr<std::string> text = ReadFileUpTo(kMaxPemBytes + 1, setting.path);
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(setting.flag, ": cannot read ", setting.path, ": ", text.status().message()));
  }
  if (text->size() > kMaxPemBytes) {
    return setting.Wrong(absl::StrCat("is larger than ", kMaxPemBytes >> 20, " MiB"));
  }
  // gRPC takes the text up to there.
  if (text->find('\0') != std::string::npos) {
    return setting.Wrong("holds a zero byte, as no PEM does");
  }
  return text;
}

absl::Status CheckTime(const FileSetting& setting, const Validity& validity, absl::Time now) {
  if (now > validity.not_after) {
    return setting.Wrong(absl::StrCat("holds a certificate that expired at ",
                                      FormatUtc(validity.not_after), "; it is ", FormatUtc(now)));
  }
  if (now < validity.not_before) {
    return setting.Wrong(absl::StrCat("holds a certificate that is not valid before ",
                                      FormatUtc(validity.not_before), "; it is ", FormatUtc(now)));
  }
  return absl::OkStatus();
}

// What only OpenSSL knows: whether it serves with these. The same calls are made when gRPC makes a
// context and in each handshake, where nobody would see why they fail.
absl::Status CheckStrength(const TlsConfig& config, const std::vector<X509Ptr>& chain,
                           EVP_PKEY& key) {
  const std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>> context(
      SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return absl::InternalError(TakeOpenSslReason());
  const auto refused = [] { return absl::StrCat("is refused by OpenSSL: ", TakeOpenSslReason()); };
  if (SSL_CTX_use_certificate(context.get(), chain.front().get()) != 1) {
    return Chain(config).Wrong(refused());
  }
  if (SSL_CTX_use_PrivateKey(context.get(), &key) != 1) return Key(config).Wrong(refused());
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context.get(), chain[i].get()) != 1) {
      return Chain(config).Wrong(refused());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TlsFiles> ReadTlsFiles(const TlsConfig& config) {
  TlsFiles files;
  ATTEND_ASSIGN_OR_RETURN(files.chain, Read(Chain(config)));
  ATTEND_ASSIGN_OR_RETURN(files.key, Read(Key(config)));
  if (!config.client_ca_file.empty()) {
    ATTEND_ASSIGN_OR_RETURN(files.client_ca, Read(ClientCa(config)));
  }
  return files;
}

absl::StatusOr<TlsFacts> CheckTlsFiles(const TlsConfig& config, const TlsFiles& files,
                                       absl::Time now) {
  TlsFacts facts;
  const absl::StatusOr<std::vector<X509Ptr>> chain = ParseCertificates(files.chain);
  if (!chain.ok()) return Chain(config).Wrong(chain.status().message());
  facts.chain_certificates = chain->size();
  const absl::StatusOr<Validity> validity = GetValidity(*chain->front());
  if (!validity.ok()) return Chain(config).Wrong(validity.status().message());
  facts.not_before = validity->not_before;
  facts.not_after = validity->not_after;
  ATTEND_RETURN_IF_ERROR(CheckTime(Chain(config), *validity, now));

  const absl::StatusOr<PrivateKeyPtr> key = ParsePrivateKey(files.key);
  if (!key.ok()) return Key(config).Wrong(key.status().message());
  if (X509_check_private_key(chain->front().get(), key->get()) != 1) {
    TakeOpenSslReason();
    return Key(config).Wrong(absl::StrCat("is not the key of the certificate in --tls-cert=",
                                          config.cert_file, ", which is the first one there"));
  }
  ATTEND_RETURN_IF_ERROR(CheckStrength(config, *chain, **key));

  if (config.client_ca_file.empty()) return facts;
  const absl::StatusOr<std::vector<X509Ptr>> authorities = ParseCertificates(files.client_ca);
  if (!authorities.ok()) return ClientCa(config).Wrong(authorities.status().message());
  facts.client_authorities = authorities->size();
  return facts;
}

}  // namespace attend
