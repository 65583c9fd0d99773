#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_MESSAGE_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_MESSAGE_H_

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What passes between a connection (http_connection.h) and the gateway (http_gateway.h).
namespace driftseal::serve {

/// One request. What it points at lives until it is answered.
struct HttpRequest {
  std::string_view method, target;  ///< As sent: "GET", "/v1/detectors?name=a".
  std::string_view content_type, content_encoding, body;
  std::string_view authorization, request_id, traceparent, grpc_timeout;  ///< Headers; empty: not there.
  bool repeated_header = false;                                           ///< One of these headers came twice.
  std::string_view peer;                                                  ///< "ipv4:10.0.0.1:4711", as gRPC has it.
  std::string_view certificate;  ///< Common name of the client's verified certificate.
};

/// One answer, or the head of a stream.
struct HttpReply {
  int status = 200;
  std::string content_type = {};  ///< Empty: no body.
  std::string body = {};
  std::string request_id = {};
  std::vector<std::pair<std::string, std::string>> headers = {};  ///< Values are ours: printable, no line breaks.
  bool close = false;                                             ///< The connection is not to be used again.
};

/// One request and its answer, implemented by the connection. Post and `body` apart, its functions may only be called
/// on the connection's thread. Either Reply, or Begin, Write ..., End.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  /// Runs `work` on the connection's thread. Callable on any thread.
  virtual void Post(std::function<void()> work) = 0;
  virtual void Reply(HttpReply reply) = 0;
  /// The head of an answer whose body comes in pieces; false: no body is wanted (HEAD), only End is still due.
  virtual bool Begin(HttpReply head) = 0;
  /// A piece, sent at once. `written` is called exactly once, with false where the client is gone or reads too slowly.
  virtual void Write(std::string piece, std::function<void(bool)> written) = 0;
  virtual void End() = 0;
  /// `gone` is called once if the client goes away before it has its answer; dropped when it has it.
  virtual void WhenGone(std::function<void()> gone) = 0;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_MESSAGE_H_
