#ifndef DRIFTSEAL_ENGINE_SERVE_SERVER_H_
#define DRIFTSEAL_ENGINE_SERVE_SERVER_H_

#include <chrono>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/serve/acceptor.h"
#include "engine/serve/engine.h"
#include "grpcpp/channel.h"

namespace driftseal::serve {

/// The gRPC server of an engine: the services of driftseal.v1, grpc.health.v1 and reflection.
class Server {
 public:
  /// Listens on options.grpc_listen and serves at once; health says SERVING. Errors name the setting. With an empty
  /// grpc_listen only the in-process channel reaches it.
  static absl::StatusOr<std::unique_ptr<Server>> Start(Engine& engine);
  ~Server();  ///< Without Drain: calls in flight are cancelled.
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Where it listens; 0: nowhere.
  int port() const;
  /// A channel that reaches it without a socket. Calls over it need kForwardedPeer (gate.h).
  std::shared_ptr<grpc::Channel> InProcessChannel();
  /// Shared by everything that listens: admit each accepted socket there.
  ConnectionLimit& connections();
  /// What health says.
  bool serving() const;

  /// Reads certificate, key and client CA again, for connections from then on (a second later at most). Files that were
  /// replaced are taken over without this, too, within kTlsRefreshSeconds (tls.h). An error where they do not fit
  /// together: the old ones stay.
  absl::Status ReloadCertificates();

  /// Health says NOT_SERVING from now on; everything is still accepted.
  void BeginLameDuck();
  /// Also listens no more and refuses new calls (UNAVAILABLE).
  void BeginDrain();
  /// BeginDrain, then waits until what was accepted is answered, but not beyond `until`: what is left is then
  /// cancelled. True: nothing was left. Returns when no handler runs any more.
  bool Drain(std::chrono::steady_clock::time_point until);

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_SERVER_H_
