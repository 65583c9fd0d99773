#include "engine/artifact/digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

constexpr uint64_t kBlock = 1u << 20;

// Fetching the algorithm walks OpenSSL's providers, which costs more than hashing a small file: done once.
const EVP_MD* Algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return algorithm;
}

class Hasher {
 public:
  Hasher() : context_(EVP_MD_CTX_new()) { Require(EVP_DigestInit_ex2(context_.get(), Algorithm(), nullptr)); }
  void Add(std::span<const std::byte> bytes) { Require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size())); }
  Digest Finish() {
    Digest digest;
    Require(EVP_DigestFinal_ex(context_.get(), digest.bytes.data(), nullptr));
    return digest;
  }

 private:
  // SHA-256 fails only without memory or with a broken OpenSSL: a wrong digest must never leave this file.
  static void Require(int ok) {
    if (ok != 1) std::abort();
  }
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = absl::ascii_tolower(static_cast<unsigned char>(c));
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

std::string Digest::Hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(64, '0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    text[2 * i] = kDigits[bytes[i] >> 4];
    text[2 * i + 1] = kDigits[bytes[i] & 15];
  }
  return text;
}

absl::StatusOr<Digest> ParseDigest(std::string_view text) {
  std::string_view digits = text;
  if (absl::EqualsIgnoreCase(ForAbsl(digits.substr(0, 7)), "sha256:")) digits.remove_prefix(7);
  Digest digest;
  bool valid = digits.size() == 64;
  for (size_t i = 0; valid && i < 32; ++i) {
    const int high = HexValue(digits[2 * i]), low = HexValue(digits[2 * i + 1]);
    valid = high >= 0 && low >= 0;
    digest.bytes[i] = static_cast<uint8_t>(high * 16 + low);
  }
  if (valid) return digest;
  return absl::InvalidArgumentError(Cat("expected a SHA-256 digest of 64 hexadecimal digits, found ", text.size(),
                                        " characters", text.size() <= 80 ? Cat(" \"", std::string(text), "\"") : ""));
}

Digest Sha256(std::span<const std::byte> bytes) {
  Hasher hasher;
  hasher.Add(bytes);
  return hasher.Finish();
}

absl::StatusOr<Digest> Sha256(const Source& source) {
  Hasher hasher;
  std::vector<std::byte> scratch;
  for (uint64_t at = 0; at < source.size();) {
    const uint64_t length = std::min(kBlock, source.size() - at);
    absl::StatusOr<std::span<const std::byte>> block = source.Read(at, length, scratch);
    if (!block.ok()) return block.status();
    hasher.Add(*block);
    at += length;
  }
  if (absl::Status status = source.CheckUnchanged(); !status.ok()) return status;
  return hasher.Finish();
}

std::vector<absl::StatusOr<Digest>> Sha256All(std::span<const Source* const> sources, unsigned threads) {
  std::vector<absl::StatusOr<Digest>> digests(sources.size(), absl::UnknownError("not hashed"));
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < sources.size(); i = next++) digests[i] = Sha256(*sources[i]);
  };
  const size_t helpers = std::min<size_t>(std::max(threads, 1u), sources.size());
  std::vector<std::jthread> pool;
  for (size_t i = 1; i < helpers; ++i) pool.emplace_back(work);
  work();
  pool.clear();  // Joins.
  return digests;
}

}  // namespace driftseal::artifact
