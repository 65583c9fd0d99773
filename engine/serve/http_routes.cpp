#include "engine/serve/http_routes.h"

#include <simdjson.h>

#include <algorithm>

#include "driftseal/v1/detectors.pb.h"
#include "driftseal/v1/integrity.pb.h"
#include "driftseal/v1/options.pb.h"
#include "driftseal/v1/predictions.pb.h"
#include "driftseal/v1/scoring.pb.h"
#include "engine/artifact/text.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::MethodDescriptor;

// The parts of an absolute path, empty ones too: "/a//b" has three.
std::vector<std::string_view> Split(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    path.remove_prefix(1);
    const size_t end = std::min(path.find('/'), path.size());
    parts.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

absl::StatusOr<HttpRoute::Part> ParsePart(const Descriptor* request, std::string_view text) {
  HttpRoute::Part part;
  if (!text.starts_with('{') || !text.ends_with('}')) {
    part.text = text;
    return part;
  }
  text = text.substr(1, text.size() - 2);
  part.spans = text.ends_with("=**");
  if (part.spans) text.remove_suffix(3);
  part.field = request->FindFieldByName(std::string(text));
  if (part.field == nullptr || part.field->is_repeated() || part.field->type() != FieldDescriptor::TYPE_STRING) {
    return absl::FailedPreconditionError(Cat(request->full_name(), " has no string field ", text));
  }
  return part;
}

// The rest of the path from part `first` on.
std::string_view RestFrom(const std::vector<std::string_view>& parts, size_t first) {
  return {parts[first].data(), static_cast<size_t>(parts.back().data() + parts.back().size() - parts[first].data())};
}

bool Fits(const HttpRoute& route, const std::vector<std::string_view>& parts) {
  for (size_t i = 0; i < route.parts.size(); ++i) {
    const HttpRoute::Part& part = route.parts[i];
    if (i >= parts.size()) return false;
    if (part.spans) return !RestFrom(parts, i).empty();
    if (part.field == nullptr ? part.text != parts[i] : parts[i].empty()) return false;
  }
  return parts.size() == route.parts.size();
}

bool SameShape(const HttpRoute& a, const HttpRoute& b) {
  return a.http_method == b.http_method &&
         std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(), [](const auto& x, const auto& y) {
           return (x.field == nullptr) == (y.field == nullptr) && x.spans == y.spans && x.text == y.text;
         });
}

}  // namespace

std::vector<const google::protobuf::ServiceDescriptor*> ServicesOfContract() {
  std::vector<const google::protobuf::ServiceDescriptor*> services;
  for (const Descriptor* message : {v1::ScoreRequest::descriptor(), v1::Detector::descriptor(),
                                    v1::BackfillRequest::descriptor(), v1::SanitizeRequest::descriptor()}) {
    const auto* file = message->file();
    for (int i = 0; i < file->service_count(); ++i) services.push_back(file->service(i));
  }
  return services;
}

absl::StatusOr<HttpRoutes> HttpRoutes::OfContract() {
  HttpRoutes routes;
  for (const auto* service : ServicesOfContract()) {
    for (int m = 0; m < service->method_count(); ++m) {
      const v1::MethodRule& rule = service->method(m)->options().GetExtension(v1::rule);
      if (rule.http_method().empty()) continue;
      for (const std::string& path : rule.http_paths()) {
        if (absl::Status status = routes.Add(service->method(m), rule.http_method(), path); !status.ok()) return status;
      }
    }
  }
  // What is written out goes before what is a field.
  std::stable_sort(routes.routes_.begin(), routes.routes_.end(), [](const HttpRoute& a, const HttpRoute& b) {
    const auto fields = [](const HttpRoute& route) {
      return std::count_if(route.parts.begin(), route.parts.end(), [](const auto& part) { return part.field; });
    };
    return fields(a) < fields(b);
  });
  return routes;
}

absl::Status HttpRoutes::Add(const MethodDescriptor* method, const std::string& http_method, const std::string& path) {
  const auto fail = [&](std::string_view what) {
    return absl::FailedPreconditionError(Cat(method->full_name(), ": ", path, ": ", what));
  };
  HttpRoute route{http_method, path, {}, method, Cat("/", method->service()->full_name(), "/", method->name())};
  if (http_method != "GET" && http_method != "POST") return fail("neither GET nor POST");
  if (method->client_streaming()) return fail("a stream of requests does not go over HTTP");
  if (!path.starts_with('/')) return fail("does not begin with a slash");
  for (const std::string_view text : Split(path)) {
    if (!route.parts.empty() && route.parts.back().spans) return fail("a part after {field=**}");
    absl::StatusOr<HttpRoute::Part> part = ParsePart(method->input_type(), text);
    if (!part.ok()) return fail({part.status().message().data(), part.status().message().size()});
    route.parts.push_back(*std::move(part));
  }
  for (const HttpRoute& other : routes_) {
    if (SameShape(route, other)) return fail(Cat("also ", other.method->full_name()));
  }
  routes_.push_back(std::move(route));
  return absl::OkStatus();
}

absl::StatusOr<HttpRoutes::Match> HttpRoutes::Find(std::string_view http_method, std::string_view path) const {
  Match match;
  if (!path.starts_with('/')) return match;
  if (http_method == "HEAD") http_method = "GET";
  const std::vector<std::string_view> parts = Split(path);
  for (const HttpRoute& route : routes_) {
    if (!Fits(route, parts)) continue;
    const std::string allow = route.http_method == "GET" ? "GET, HEAD" : route.http_method;
    match.allow += match.allow.empty() ? allow : ", " + allow;
    if (route.http_method != http_method || match.route != nullptr) continue;
    match.route = &route;
    for (size_t i = 0; i < route.parts.size(); ++i) {
      if (route.parts[i].field == nullptr) continue;
      absl::StatusOr<std::string> value = PercentDecode(route.parts[i].spans ? RestFrom(parts, i) : parts[i]);
      if (!value.ok()) return absl::InvalidArgumentError(Cat("path: ", value.status().message()));
      match.captures.emplace_back(route.parts[i].field, *std::move(value));
    }
  }
  if (!match.allow.empty()) match.allow += ", OPTIONS";
  return match;
}

absl::StatusOr<std::string> PercentDecode(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1, low = high >= 0 ? digit(text[i + 2]) : -1;
      if (low < 0) return absl::InvalidArgumentError("expected two hexadecimal digits after each '%'");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (c == '\0') return absl::InvalidArgumentError("holds a NUL byte");
    out += c;
  }
  if (!simdjson::validate_utf8(out.data(), out.size())) return absl::InvalidArgumentError("is not UTF-8");
  return out;
}

}  // namespace driftseal::serve
