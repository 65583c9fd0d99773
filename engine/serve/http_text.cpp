#include "engine/serve/http_text.h"

#include <array>
#include <ctime>

#include "absl/strings/str_format.h"
#include "engine/artifact/text.h"
#include "engine/serve/http_status.h"

namespace driftseal::serve {
namespace {

// "Sun, 06 Nov 1994 08:49:37 GMT", made anew each second.
const std::string& Date() {
  static thread_local std::time_t made_at = 0;
  static thread_local std::string date;
  const std::time_t now = std::time(nullptr);
  if (now != made_at) {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::tm t{};
    gmtime_r(&now, &t);
    date = absl::StrFormat("%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[t.tm_wday], t.tm_mday, kMonths[t.tm_mon],
                           t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    made_at = now;
  }
  return date;
}

}  // namespace

std::string HttpText(const HttpReply& reply, HttpBody body, bool keep_alive) {
  std::string text;
  text.reserve(320 + reply.body.size());
  const auto add = [&](std::string_view name, std::string_view value) {
    text.append(name).append(": ").append(value).append("\r\n");
  };
  text.append("HTTP/1.1 ").append(std::to_string(reply.status)).append(" ");
  text.append(HttpReason(reply.status)).append("\r\n");
  add("Date", Date());
  if (!reply.content_type.empty()) add("Content-Type", reply.content_type);
  if (body == HttpBody::kChunked) {
    add("Transfer-Encoding", "chunked");
  } else if (body != HttpBody::kUntilClose && reply.status != 204) {
    add("Content-Length", std::to_string(reply.body.size()));
  }
  if (!reply.request_id.empty()) add("X-Request-Id", reply.request_id);
  for (const auto& [name, value] : reply.headers) add(name, value);
  // Answers are of the moment, and no browser is to guess what they are.
  add("Cache-Control", "no-store");
  add("X-Content-Type-Options", "nosniff");
  if (!keep_alive) add("Connection", "close");
  text += "\r\n";
  if (body == HttpBody::kWhole) text += reply.body;
  return text;
}

std::string HttpChunk(std::string_view piece) { return artifact::Cat(absl::Hex(piece.size()), "\r\n", piece, "\r\n"); }

std::string HttpPeer(const boost::asio::ip::tcp::endpoint& endpoint) {
  const boost::asio::ip::address address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    const auto v4 = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
    return artifact::Cat("ipv4:", v4.to_string(), ":", endpoint.port());
  }
  if (address.is_v6()) return artifact::Cat("ipv6:%5B", address.to_string(), "%5D:", endpoint.port());
  return artifact::Cat("ipv4:", address.to_string(), ":", endpoint.port());
}

}  // namespace driftseal::serve
