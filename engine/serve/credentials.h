#ifndef DRIFTSEAL_ENGINE_SERVE_CREDENTIALS_H_
#define DRIFTSEAL_ENGINE_SERVE_CREDENTIALS_H_

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/serve/tokens.h"
#include "grpcpp/server_context.h"

namespace driftseal::serve {

/// Who calls.
struct Caller {
  std::string name;     ///< Of its token or certificate; empty where nobody is asked.
  std::string address;  ///< Without the port; empty where it has a name.
  int scope = 0;        ///< The highest v1::Scope that it has.
};

/// What a caller shows.
struct Shown {
  std::optional<std::string_view> authorization;  ///< The metadata, "Bearer TOKEN".
  std::string common_name;                        ///< Of a verified certificate; empty where there is none.
};

/// Tells callers by what they show: a bearer token, or a certificate that the TLS layer has verified.
///
/// With a tokens file everybody must be in it. Without one, but with mutual TLS, every verified certificate may do
/// everything. Without both nobody is asked. Safe to share between threads.
class Credentials {
 public:
  absl::Status Open(const std::string& tokens_file, bool certificates);
  absl::Status Reload();
  /// UNAUTHENTICATED, saying what was expected.
  absl::StatusOr<Caller> Identify(const grpc::CallbackServerContext& context) const;
  /// The same without a call; the address is not known.
  absl::StatusOr<Caller> Identify(const Shown& shown) const;

 private:
  absl::StatusOr<Caller> FromIdentity(const Identity* identity, std::string_view what) const;

  std::string tokens_file_;
  bool certificates_ = false;
  mutable std::mutex mutex_;
  std::shared_ptr<const Tokens> tokens_;
};

/// Metadata by which a call shows that it comes from within this process, and its value: random, made once a process,
/// and told to nobody. The channel adds it by itself (Server::InProcessChannel).
inline constexpr char kInProcessKey[] = "x-driftseal-in-process";
const std::string& InProcessKey();

/// The caller's address and port, also of a call that the HTTP gateway makes for it.
std::string PeerOf(const grpc::CallbackServerContext& context);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_CREDENTIALS_H_
