#include "engine/serve/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/artifact/source.h"
#include "engine/artifact/text.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

constexpr uint64_t kPemLimit = 4u << 20;

template <typename T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* object) const { Free(object); }
};
using Certificate = std::unique_ptr<X509, Deleter<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY, EVP_PKEY_free>>;

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
std::unique_ptr<BIO, BioDeleter> Bio(const std::string& text) {
  return std::unique_ptr<BIO, BioDeleter>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

absl::StatusOr<std::string> Read(const char* setting, const std::string& path) {
  const absl::StatusOr<artifact::Source> source = artifact::Source::Open(path);
  if (!source.ok()) return absl::Status(source.status().code(), Cat(setting, ": ", source.status().message()));
  std::vector<std::byte> scratch;
  const absl::StatusOr<std::span<const std::byte>> bytes = source->ReadAll(kPemLimit, scratch);
  if (!bytes.ok()) return absl::Status(bytes.status().code(), Cat(setting, ": ", bytes.status().message()));
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

// A key with a passphrase is refused: OpenSSL would ask for it at the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

absl::Status CheckCertificates(const char* setting, const std::string& path, const std::string& pem) {
  const auto bio = Bio(pem);
  size_t found = 0;
  while (const Certificate certificate{PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)}) {
    if (X509_cmp_current_time(X509_get0_notAfter(certificate.get())) <= 0) {
      return absl::FailedPreconditionError(Cat(setting, ": ", path, ": certificate ", found + 1, " has expired"));
    }
    ++found;
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (found > 0 && at_end) return absl::OkStatus();
  return absl::InvalidArgumentError(Cat(setting, ": ", path, ": expected certificates in PEM"));
}

absl::Status CheckKey(const Options& options, const TlsFiles& files) {
  const Key key(PEM_read_bio_PrivateKey(Bio(files.key).get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(
        Cat("tls_key: ", options.tls_key, ": expected a private key in PEM without a passphrase"));
  }
  const Certificate leaf(PEM_read_bio_X509(Bio(files.cert).get(), nullptr, NoPassphrase, nullptr));
  const bool fits = X509_check_private_key(leaf.get(), key.get()) == 1;
  ERR_clear_error();
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      Cat("tls_key: ", options.tls_key, ": is not the key of the first certificate of ", options.tls_cert));
}

}  // namespace

absl::StatusOr<bool> WantsTls(const Options& options) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError(options.tls_cert.empty() ? "tls_key: tls_cert is missing beside it"
                                                               : "tls_cert: tls_key is missing beside it");
  }
  if (options.tls_cert.empty() && !options.tls_client_ca.empty()) {
    return absl::InvalidArgumentError("tls_client_ca: tls_cert and tls_key are missing beside it");
  }
  return !options.tls_cert.empty();
}

absl::StatusOr<TlsFiles> ReadTlsFiles(const Options& options) {
  TlsFiles files;
  struct Part {
    const char* setting;
    const std::string& path;
    std::string& text;
  };
  for (const Part& part : {Part{"tls_cert", options.tls_cert, files.cert}, Part{"tls_key", options.tls_key, files.key},
                           Part{"tls_client_ca", options.tls_client_ca, files.client_ca}}) {
    if (part.path.empty()) continue;
    absl::StatusOr<std::string> text = Read(part.setting, part.path);
    if (!text.ok()) return text.status();
    part.text = *std::move(text);
    if (&part.text == &files.key) continue;
    const absl::Status checked = CheckCertificates(part.setting, part.path, part.text);
    if (!checked.ok()) return checked;
  }
  const absl::Status checked = CheckKey(options, files);
  if (!checked.ok()) return checked;
  return files;
}

}  // namespace driftseal::serve
