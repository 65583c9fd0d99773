#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_TEXT_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_TEXT_H_

#include <string>
#include <string_view>

#include "boost/asio/ip/tcp.hpp"
#include "engine/serve/http_message.h"

// Answers as bytes.
namespace driftseal::serve {

enum class HttpBody { kWhole, kNone, kChunked, kUntilClose };

/// Status line and headers, and for kWhole the body. kNone: as for kWhole, without the body (HEAD).
std::string HttpText(const HttpReply& reply, HttpBody body, bool keep_alive);
/// A piece of a chunked body.
std::string HttpChunk(std::string_view piece);
inline constexpr std::string_view kLastHttpChunk = "0\r\n\r\n";

/// "ipv4:10.0.0.1:4711" or "ipv6:%5B::1%5D:4711", as gRPC writes peers.
std::string HttpPeer(const boost::asio::ip::tcp::endpoint& endpoint);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_TEXT_H_
