#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_CALLS_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_CALLS_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/serve/http_message.h"
#include "engine/serve/http_routes.h"
#include "google/protobuf/arena.h"
#include "google/protobuf/message.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/codegen/proto_utils.h"

// Calls of the gateway, from the request as a message to the answer as JSON.
namespace driftseal::serve {

using MessageStub = grpc::TemplatedGenericStub<google::protobuf::Message, google::protobuf::Message>;

/// What a call is made of. Its messages live in the arena.
struct HttpCall {
  explicit HttpCall(const HttpRoute& to);

  const HttpRoute& route;
  google::protobuf::Arena arena;
  google::protobuf::Message* request;
  google::protobuf::Message* response;
  grpc::ClientContext context;
  std::string request_id;
};

/// Carries headers over into metadata: authorization, traceparent, the request id, who the peer is, the deadline.
/// InvalidArgument for a Grpc-Timeout that is none; Unauthenticated for an Authorization that metadata cannot carry.
absl::Status SetMetadata(const HttpRequest& request, HttpCall& call);

/// "100m" → 100 ms, as gRPC writes timeouts: at most 8 digits and one of H, M, S, m, u, n. Nothing for anything else.
std::optional<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text);

/// Makes the call and answers: one JSON object, or a line of JSON for each message of a stream (an error after the
/// first message is the last line). When the client goes away the call is cancelled; a stream is read no faster than
/// the client takes it.
void StartHttpCall(MessageStub& stub, std::shared_ptr<HttpCall> call, std::shared_ptr<HttpExchange> exchange);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_CALLS_H_
