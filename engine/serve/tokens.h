#ifndef DRIFTSEAL_ENGINE_SERVE_TOKENS_H_
#define DRIFTSEAL_ENGINE_SERVE_TOKENS_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// The tokens file: who may call. One line a token or certificate; '#' begins a comment:
//
//   # client      scopes        credential                          expires (optional)
//   fraud-team    score         sha256:9f86d081884c7d65...0f00a08   2027-06-30T00:00:00Z
//   registry      score,verify  cert:registry.example.org
//
// A token is 32 random bytes in text, so its SHA-256 needs no salt. Scopes: score, verify, admin; a higher one includes
// the lower ones. Several lines may name the same client, which then has one rate limit.
namespace driftseal::serve {

/// Who a credential stands for.
struct Identity {
  std::string client;  ///< Letters, digits, '-', '_' and '.', at most 64.
  int scope = 0;       ///< The highest v1::Scope.
  std::optional<std::chrono::system_clock::time_point> expires;
};

/// One state of the file. Immutable, safe to share between threads.
class Tokens {
 public:
  /// Errors name the file and the line. PermissionDenied where others than owner and group can read or write it.
  static absl::StatusOr<std::shared_ptr<const Tokens>> Read(const std::string& path);
  /// `name` stands for the file in errors.
  static absl::StatusOr<std::shared_ptr<const Tokens>> Parse(const std::string& name, std::string_view text);
  ~Tokens();

  /// Null for a token that is not there; expired ones are found. Takes no longer for a token that is almost right.
  const Identity* FindToken(std::string_view token) const;
  const Identity* FindCertificate(std::string_view common_name) const;
  size_t size() const;

 private:
  Tokens();
  struct State;
  std::unique_ptr<State> state_;
};

/// The line of the file for a token. InvalidArgument for a name or scope that Parse would refuse.
absl::StatusOr<std::string> TokenLine(std::string_view client, const std::vector<std::string>& scopes,
                                      std::string_view token,
                                      std::optional<std::chrono::system_clock::time_point> expires);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_TOKENS_H_
