// SPDX-License-Identifier: Apache-2.0
#include "tests/support/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"

namespace attend {
namespace {

using KeyPtr = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;
using X509Ptr = std::unique_ptr<X509, void (*)(X509*)>;

template <typename Write>
std::string Pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  if (write(bio) != 1) std::abort();
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}

template <typename Read>
auto FromPem(const std::string& pem, Read read) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  auto* object = read(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  if (object == nullptr) std::abort();
  return object;
}

KeyPtr ReadKey(const std::string& pem) {
  return {FromPem(pem, PEM_read_bio_PrivateKey), EVP_PKEY_free};
}

void AddExtension(X509* certificate, int type, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, type, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

Certificate MakeCertificate(const CertificateSpec& spec) {
  const KeyPtr key(
      spec.rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(spec.rsa_bits)) : EVP_EC_gen("P-256"),
      EVP_PKEY_free);
  const X509Ptr x509(X509_new(), X509_free);
  static long serial = 0;
  X509_set_version(x509.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), ++serial);
  ASN1_TIME_set(X509_getm_notBefore(x509.get()), absl::ToTimeT(spec.not_before));
  ASN1_TIME_set(X509_getm_notAfter(x509.get()), absl::ToTimeT(spec.not_after));
  X509_set_pubkey(x509.get(), key.get());
  X509_NAME* name = X509_get_subject_name(x509.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(spec.name.c_str()), -1, -1, 0);
  AddExtension(x509.get(), NID_subject_alt_name, absl::StrCat("DNS:", spec.name));
  if (spec.issuer == nullptr) {
    X509_set_issuer_name(x509.get(), name);
    AddExtension(x509.get(), NID_basic_constraints, "critical,CA:TRUE");
    if (X509_sign(x509.get(), key.get(), EVP_sha256()) == 0) std::abort();
  } else {
    const X509Ptr issuer(FromPem(spec.issuer->certificate, PEM_read_bio_X509), X509_free);
    X509_set_issuer_name(x509.get(), X509_get_subject_name(issuer.get()));
    if (X509_sign(x509.get(), ReadKey(spec.issuer->key).get(), EVP_sha256()) == 0) std::abort();
  }
  return {Pem([&](BIO* bio) { return PEM_write_bio_X509(bio, x509.get()); }), Pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

std::string EncryptKey(const std::string& key, const std::string& passphrase) {
  const KeyPtr plain = ReadKey(key);
  return Pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, plain.get(), EVP_aes_256_cbc(), passphrase.data(),
                                         static_cast<int>(passphrase.size()), nullptr, nullptr);
  });
}

}  // namespace attend
