#include "engine/serve/http_gateway.h"

#include <algorithm>
#include <array>

#include "boost/asio/post.hpp"
#include "driftseal/v1/options.pb.h"
#include "engine/artifact/text.h"
#include "engine/serve/http_openapi.h"
#include "engine/serve/http_status.h"
#include "engine/serve/request_id.h"
#include "nlohmann/json.hpp"

namespace driftseal::serve {
namespace {

using artifact::Cat;

constexpr size_t kLargeBody = 64 << 10;
constexpr std::array<std::string_view, 5> kPages = {"/health", "/healthz", "/readyz", "/metrics", "/openapi.json"};

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool IsJson(std::string_view content_type) {
  constexpr std::string_view kJson = "application/json";
  const std::string_view type = Trim(content_type.substr(0, content_type.find(';')));
  return std::equal(type.begin(), type.end(), kJson.begin(), kJson.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

// "http://host:8000/v1/x" is "/v1/x": servers must take what is meant for proxies.
std::string_view WithoutAuthority(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!target.starts_with(scheme)) continue;
    const size_t slash = target.find('/', scheme.size());
    return slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  return target;
}

HttpReply Text(int status, std::string type, std::string body) {
  HttpReply reply;
  reply.status = status;
  reply.content_type = std::move(type);
  reply.body = std::move(body);
  return reply;
}

}  // namespace

/// What a request is for.
struct HttpGateway::Target {
  std::string request_id;
  std::string_view query;
  std::string_view page;  ///< Of kPages, or empty.
  HttpRoutes::Match match;
  std::optional<HttpReply> reply;  ///< It can be answered without going further.
};

HttpGateway::HttpGateway(HttpParts parts, HttpRoutes routes)
    : parts_(std::move(parts)),
      routes_(std::move(routes)),
      openapi_(OpenApi(routes_)),
      began_(std::chrono::steady_clock::now()),
      stub_(parts_.channel) {}

absl::StatusOr<std::unique_ptr<HttpGateway>> HttpGateway::Make(HttpParts parts) {
  absl::StatusOr<HttpRoutes> routes = HttpRoutes::OfContract();
  if (!routes.ok()) return routes.status();
  return std::unique_ptr<HttpGateway>(new HttpGateway(std::move(parts), *std::move(routes)));
}

HttpGateway::Target HttpGateway::Find(const HttpRequest& request) const {
  Target target;
  target.request_id = request.request_id.empty() ? MakeRequestId() : std::string(request.request_id);
  const auto answer = [&](HttpReply reply) { target.reply = std::move(reply); };
  const auto refuse = [&](int status, std::string_view why) { answer(HttpErrorReply(status, why, target.request_id)); };
  const std::string_view whole = WithoutAuthority(request.target);
  const std::string_view path = whole.substr(0, whole.find('?'));
  if (path.size() < whole.size()) target.query = whole.substr(path.size() + 1);

  const auto* page = std::find(kPages.begin(), kPages.end(), path);
  std::string allow = "GET, HEAD, OPTIONS";
  if (page != kPages.end() && (path != "/metrics" || parts_.metrics != nullptr)) {
    if (request.method == "GET" || request.method == "HEAD") {
      target.page = path;
      return target;
    }
  } else if (path == "*" && request.method == "OPTIONS") {
    allow = "GET, HEAD, POST, OPTIONS";
  } else {
    absl::StatusOr<HttpRoutes::Match> match = routes_.Find(request.method, path);
    if (!match.ok()) {
      answer(HttpErrorReply(match.status(), target.request_id));
      return target;
    }
    target.match = *std::move(match);
    allow = target.match.allow;
  }
  if (target.match.route != nullptr) {
    if (!request.content_encoding.empty() && request.content_encoding != "identity") {
      refuse(415, "Content-Encoding: bodies are taken uncompressed");
    } else if (target.match.route->http_method == "POST" && !request.content_type.empty() &&
               !IsJson(request.content_type)) {
      refuse(415, "Content-Type: expected application/json");
    } else if (parts_.may_call != nullptr) {
      const int scope = target.match.route->method->options().GetExtension(v1::rule).scope();
      const absl::Status may = parts_.may_call(request.authorization, request.certificate, scope);
      if (!may.ok()) answer(HttpErrorReply(may, target.request_id));
    }
  } else if (allow.empty()) {
    refuse(404, Cat("no such path: ", artifact::Quoted(path)));
  } else if (request.method == "OPTIONS") {
    HttpReply reply;
    reply.status = 204;
    reply.request_id = target.request_id;
    answer(std::move(reply));
    target.reply->headers.emplace_back("Allow", allow);
  } else {
    refuse(405, Cat("this path takes ", allow));
    target.reply->headers.emplace_back("Allow", allow);
  }
  return target;
}

std::optional<HttpReply> HttpGateway::Refuse(const HttpRequest& head) { return Find(head).reply; }

void HttpGateway::Handle(const HttpRequest& request, std::shared_ptr<HttpExchange> exchange) {
  Target target = Find(request);
  if (target.reply.has_value()) return exchange->Reply(*std::move(target.reply));
  if (!target.page.empty()) {
    HttpReply page = Page(target.page);
    page.request_id = target.request_id;
    return exchange->Reply(std::move(page));
  }
  if (!request.body.empty() && target.match.route->http_method == "POST" && request.content_type.empty()) {
    return exchange->Reply(HttpErrorReply(415, "Content-Type: expected application/json", target.request_id));
  }
  auto call = std::make_shared<HttpCall>(*target.match.route);
  call->request_id = target.request_id;
  if (absl::Status status = SetMetadata(request, *call); !status.ok()) {
    return exchange->Reply(HttpErrorReply(status, target.request_id));
  }
  if (request.body.size() <= kLargeBody) return Call(std::move(call), request, target, std::move(exchange));
  // The body lives as long as the exchange is not answered.
  boost::asio::post(large_, [this, call = std::move(call), request, target = std::move(target),
                             exchange = std::move(exchange)]() mutable {
    HttpExchange& thread = *exchange;
    absl::Status status =
        FillRequest(*target.match.route, target.match.captures, target.query, request.body, call->request);
    thread.Post([this, status = std::move(status), call = std::move(call), exchange = std::move(exchange)]() mutable {
      if (!status.ok()) return exchange->Reply(HttpErrorReply(status, call->request_id));
      StartHttpCall(stub_, std::move(call), std::move(exchange));
    });
  });
}

void HttpGateway::Call(std::shared_ptr<HttpCall> call, const HttpRequest& request, const Target& target,
                       std::shared_ptr<HttpExchange> exchange) {
  const absl::Status status =
      FillRequest(*target.match.route, target.match.captures, target.query, request.body, call->request);
  if (!status.ok()) return exchange->Reply(HttpErrorReply(status, target.request_id));
  StartHttpCall(stub_, std::move(call), std::move(exchange));
}

HttpReply HttpGateway::Page(std::string_view path) const {
  if (path == "/openapi.json") return Text(200, "application/json", openapi_);
  if (path == "/metrics") return Text(200, "text/plain; version=0.0.4; charset=utf-8", parts_.metrics->Text());
  if (path == "/healthz") return Text(200, "text/plain; charset=utf-8", "ok\n");
  const HttpHealth health = parts_.health();
  const int status = health.serving ? 200 : 503;
  const char* word = health.serving ? "ok" : "draining";
  if (path == "/readyz") return Text(status, "text/plain; charset=utf-8", Cat(word, "\n"));
  const std::chrono::duration<double> up = std::chrono::steady_clock::now() - began_;
  const nlohmann::ordered_json json = {{"status", word},
                                       {"version", health.version},
                                       {"detectors", health.detectors},
                                       {"uptime_seconds", std::floor(up.count() * 1000) / 1000}};
  return Text(status, "application/json", json.dump() + "\n");
}

}  // namespace driftseal::serve
