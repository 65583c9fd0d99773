#ifndef DRIFTSEAL_TESTS_ENGINE_SERVE_CERTIFICATES_H_
#define DRIFTSEAL_TESTS_ENGINE_SERVE_CERTIFICATES_H_

#include <memory>
#include <string>

#include "openssl/evp.h"
#include "openssl/x509.h"

namespace driftseal::testing {

/// A key and its certificate, made for one test.
class Certificate {
 public:
  /// Valid for an hour, for 127.0.0.1 and localhost; signed by `issuer`, or by itself and able to sign others.
  explicit Certificate(const std::string& common_name, const Certificate* issuer = nullptr);
  std::string Pem() const;
  std::string KeyPem() const;

 private:
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::unique_ptr<X509, decltype(&X509_free)> certificate_;
};

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_ENGINE_SERVE_CERTIFICATES_H_
