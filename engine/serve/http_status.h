#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_STATUS_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_STATUS_H_

#include <string_view>

#include "absl/status/status.h"
#include "engine/serve/http_message.h"
#include "grpcpp/support/status.h"

// The one place where errors become HTTP's.
namespace driftseal::serve {

/// As google.rpc.Code documents it: NOT_FOUND → 404, RESOURCE_EXHAUSTED → 429, ...
int HttpStatusOf(grpc::StatusCode code);
/// "Not Found"
std::string_view HttpReason(int status);

/// {"error":{"code":404,"status":"NOT_FOUND","message":...,"request_id":...,"details":[...]}}, one line without its
/// end. `details` has what driftseal.v1.ErrorStatus carries, each with its "@type".
std::string HttpErrorBody(const grpc::Status& status, int http_status, std::string_view request_id);
/// The answer to a call that failed, with Retry-After (whole seconds, rounded up) from RetryInfo and WWW-Authenticate
/// on 401.
HttpReply HttpErrorReply(const grpc::Status& status, std::string_view request_id);
/// The same for what the gateway itself refuses.
HttpReply HttpErrorReply(const absl::Status& status, std::string_view request_id);
/// For what gRPC has no code for: 405, 408, 413, 415, 431.
HttpReply HttpErrorReply(int http_status, std::string_view message, std::string_view request_id);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_STATUS_H_
