#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_GATEWAY_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_GATEWAY_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/asio/thread_pool.hpp"
#include "engine/serve/http_calls.h"
#include "engine/serve/http_connection.h"
#include "engine/serve/http_routes.h"
#include "engine/serve/http_server.h"

namespace driftseal::serve {

/// Answers requests: pages of its own (/health, /healthz, /readyz, /metrics, /openapi.json) at once, routes of the
/// contract through the channel. Safe to share between threads.
class HttpGateway final : public HttpHandler {
 public:
  /// FailedPrecondition for a contract that cannot be served.
  static absl::StatusOr<std::unique_ptr<HttpGateway>> Make(HttpParts parts);

  std::optional<HttpReply> Refuse(const HttpRequest& head) override;
  void Handle(const HttpRequest& request, std::shared_ptr<HttpExchange> exchange) override;
  /// Returns when no large body is being read any more.
  void Join() { large_.join(); }

 private:
  struct Target;
  HttpGateway(HttpParts parts, HttpRoutes routes);
  Target Find(const HttpRequest& request) const;
  HttpReply Page(std::string_view path) const;
  void Call(std::shared_ptr<HttpCall> call, const HttpRequest& request, const Target& target,
            std::shared_ptr<HttpExchange> exchange);

  const HttpParts parts_;
  const HttpRoutes routes_;
  const std::string openapi_;
  const std::chrono::steady_clock::time_point began_;
  MessageStub stub_;
  boost::asio::thread_pool large_{1};  ///< Reads large bodies, so that small ones on the same thread do not wait.
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_GATEWAY_H_
