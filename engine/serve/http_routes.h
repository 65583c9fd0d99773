#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_ROUTES_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_ROUTES_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

// Which HTTP request means which method: read from the (driftseal.v1.rule) options of the contract, at start-up.
namespace driftseal::serve {

struct HttpRoute {
  /// A part of a path: its text, or the request's field that takes its place.
  struct Part {
    std::string text;
    const google::protobuf::FieldDescriptor* field = nullptr;
    bool spans = false;  ///< "{field=**}": the rest of the path, slashes and all.
  };
  std::string http_method;  ///< "GET", "POST"
  std::string path;         ///< As the rule has it.
  std::vector<Part> parts;
  const google::protobuf::MethodDescriptor* method = nullptr;
  std::string rpc;  ///< "/driftseal.v1.Scoring/Score"
};

class HttpRoutes {
 public:
  /// Values of the fields in the path, decoded, in the order of the parts that have one.
  using Captures = std::vector<std::pair<const google::protobuf::FieldDescriptor*, std::string>>;
  struct Match {
    const HttpRoute* route = nullptr;  ///< Null: no route with this method.
    Captures captures;
    std::string allow;  ///< "GET, HEAD, OPTIONS": what this path takes; empty: nobody knows it.
  };

  /// All methods of the contract. FailedPrecondition, naming the method, for a rule that cannot be served: a field that
  /// is not there or no string, two rules for the same path, a client stream, a method that is neither GET nor POST.
  static absl::StatusOr<HttpRoutes> OfContract();

  /// `path` as it came, without its query. HEAD is GET. InvalidArgument: the path is not properly escaped.
  absl::StatusOr<Match> Find(std::string_view http_method, std::string_view path) const;
  const std::vector<HttpRoute>& all() const { return routes_; }

 private:
  absl::Status Add(const google::protobuf::MethodDescriptor* method, const std::string& http_method,
                   const std::string& path);
  std::vector<HttpRoute> routes_;
};

/// The services of driftseal.v1, from the files that define them.
std::vector<const google::protobuf::ServiceDescriptor*> ServicesOfContract();

/// Fills the route's request from the path, the query and the body: a GET has no body, a POST no query. Errors are
/// InvalidArgument and name the field.
absl::Status FillRequest(const HttpRoute& route, const HttpRoutes::Captures& captures, std::string_view query,
                         std::string_view body, google::protobuf::Message* request);

/// "%41" → "A"; '+' stays. InvalidArgument for broken escapes, NUL and what is not UTF-8.
absl::StatusOr<std::string> PercentDecode(std::string_view text);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_ROUTES_H_
