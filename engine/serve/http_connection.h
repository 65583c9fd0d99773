#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_CONNECTION_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_CONNECTION_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ssl/context.hpp"
#include "engine/serve/http_message.h"

// One HTTP/1.1 connection: reads requests, one after the other, and writes answers. Everything of it happens on the one
// thread of its io_context.
namespace driftseal::serve {

struct HttpLimits {
  size_t header_bytes = 16 << 10;
  size_t body_bytes = 16 << 20;
  size_t all_body_bytes = 512u << 20;        ///< Of all connections together: bodies that are being read or answered.
  std::chrono::milliseconds begin{5000};     ///< TLS handshake, first request line, a whole header.
  std::chrono::milliseconds idle{300000};    ///< Between two requests.
  std::chrono::milliseconds stall{30000};    ///< For each piece of an answer to be taken.
  size_t least_bytes_per_second = 16 << 10;  ///< A body that comes slower than this, after `begin`, is given up.
};

/// Who answers.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  /// Before a body that the client holds back until it is told to go on (Expect: 100-continue): why it need not come.
  virtual std::optional<HttpReply> Refuse(const HttpRequest& head) = 0;
  /// Answers `request` through `exchange`, at once or later.
  virtual void Handle(const HttpRequest& request, std::shared_ptr<HttpExchange> exchange) = 0;
};

/// What connections share. Outlives them.
struct HttpShared {
  HttpHandler* handler = nullptr;
  HttpLimits limits;
  std::atomic<bool> draining{false};
  std::atomic<size_t> body_bytes{0};  ///< See HttpLimits::all_body_bytes.
};

/// What the server keeps of a connection. Functions are called on its thread.
class HttpConnection {
 public:
  virtual ~HttpConnection() = default;
  virtual void Begin() = 0;
  virtual void CloseIfIdle() = 0;  ///< Others are closed after their answer, as HttpShared::draining says.
  virtual void Abort() = 0;        ///< Closes at once; a call in progress is cancelled.
};

/// Takes over a socket that is open. With `tls` the client must begin with a handshake. `ended` is called when the
/// object is destroyed, on any thread.
std::shared_ptr<HttpConnection> MakeHttpConnection(boost::asio::ip::tcp::socket socket,
                                                   std::shared_ptr<boost::asio::ssl::context> tls, HttpShared* shared,
                                                   std::function<void()> ended);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_CONNECTION_H_
