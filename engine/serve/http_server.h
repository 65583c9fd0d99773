#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_SERVER_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_SERVER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/serve/acceptor.h"
#include "engine/serve/log.h"
#include "engine/serve/metrics.h"
#include "engine/serve/options.h"
#include "grpcpp/channel.h"

// HTTP/1.1 and JSON in front of the gRPC server: every call goes through a channel to it, so that tokens, limits and
// counting stand in one place (gate.h). docs/http.md describes what clients see.
namespace driftseal::serve {

/// What GET /health tells.
struct HttpHealth {
  bool serving = true;                 ///< False: "draining", 503.
  std::vector<std::string> detectors;  ///< Active ones, "name@version".
  std::string version;                 ///< Of the program.
};

/// What the gateway stands on. Everything that is pointed at outlives it.
struct HttpParts {
  std::shared_ptr<grpc::Channel> channel;  ///< To the gRPC server; believed by it about peers (gate.h).
  ConnectionLimit* connections = nullptr;  ///< Shared with gRPC.
  Log* log = nullptr;
  Metrics* metrics = nullptr;          ///< Null: GET /metrics is 404. Must outlive the server or be read no more.
  std::function<HttpHealth()> health;  ///< Called on any thread; must not block.
  /// Whether who shows this may call methods of this scope (v1::Scope): asked before a body is read as JSON, so that
  /// a stranger's costs nothing. Null: the call itself tells.
  std::function<absl::Status(std::string_view authorization, std::string_view certificate, int scope)> may_call;
};

/// Threads: all functions may be called from any thread.
class HttpServer {
 public:
  /// Listens on options.http_listen, with TLS where options.tls_cert says so, and serves at once. Errors name the
  /// setting.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const Options& options, HttpParts parts);
  ~HttpServer();  ///< Without Drain: requests in flight are cancelled.
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;
  /// Reads certificate, key and client CA again, for connections from now on. On an error everything is as before.
  absl::Status ReloadCertificates();
  /// Listens no more and closes connections without a request; the rest are closed after the answer they wait for.
  void BeginDrain();
  /// BeginDrain, then waits until every connection is closed, but not beyond `until`: what is left is then cancelled
  /// and closed. True: nothing was left. The channel is used no more afterwards.
  bool Drain(std::chrono::steady_clock::time_point until);

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_SERVER_H_
