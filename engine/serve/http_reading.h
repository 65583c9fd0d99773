#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_READING_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_READING_H_

#include <openssl/ssl.h>

#include <string>
#include <string_view>

#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http/basic_dynamic_body.hpp"
#include "boost/beast/http/parser.hpp"
#include "engine/serve/http_message.h"

// Requests as Beast reads them.
namespace driftseal::serve {

namespace http = boost::beast::http;
/// A body that grows as it comes: what a client says about its length reserves nothing.
using HttpParser = http::request_parser<http::basic_dynamic_body<boost::beast::flat_buffer>>;

struct HttpHead {
  HttpRequest request;  ///< Points into the message.
  bool expects_continue = false;
  int status = 0;     ///< With `error`: 400, 417, 501.
  std::string error;  ///< Why it cannot be answered whatever it asks for; empty: it can.
};
HttpHead ReadHead(const HttpParser::value_type& message, std::string_view peer, std::string_view certificate);

/// Common name of the verified certificate of a connection's client; empty: there is none. A name that metadata cannot
/// carry is empty as well.
std::string CommonName(SSL* ssl);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_READING_H_
