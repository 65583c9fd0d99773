#include "engine/serve/http_status.h"

#include <algorithm>
#include <string>

#include "driftseal/v1/errors.pb.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"

namespace driftseal::serve {
namespace {

using Json = nlohmann::ordered_json;

struct Code {
  grpc::StatusCode code;
  const char* name;
  int http;
};
// google/rpc/code.proto says which is which.
constexpr Code kCodes[] = {
    {grpc::StatusCode::OK, "OK", 200},
    {grpc::StatusCode::CANCELLED, "CANCELLED", 499},
    {grpc::StatusCode::UNKNOWN, "UNKNOWN", 500},
    {grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT", 400},
    {grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", 504},
    {grpc::StatusCode::NOT_FOUND, "NOT_FOUND", 404},
    {grpc::StatusCode::ALREADY_EXISTS, "ALREADY_EXISTS", 409},
    {grpc::StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED", 403},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED", 429},
    {grpc::StatusCode::FAILED_PRECONDITION, "FAILED_PRECONDITION", 400},
    {grpc::StatusCode::ABORTED, "ABORTED", 409},
    {grpc::StatusCode::OUT_OF_RANGE, "OUT_OF_RANGE", 400},
    {grpc::StatusCode::UNIMPLEMENTED, "UNIMPLEMENTED", 501},
    {grpc::StatusCode::INTERNAL, "INTERNAL", 500},
    {grpc::StatusCode::UNAVAILABLE, "UNAVAILABLE", 503},
    {grpc::StatusCode::DATA_LOSS, "DATA_LOSS", 500},
    {grpc::StatusCode::UNAUTHENTICATED, "UNAUTHENTICATED", 401},
};

const Code& Find(grpc::StatusCode code) {
  const auto* found = std::find_if(std::begin(kCodes), std::end(kCodes), [&](const Code& c) { return c.code == code; });
  return found == std::end(kCodes) ? kCodes[2] : *found;
}

v1::ErrorStatus Details(const grpc::Status& status) {
  v1::ErrorStatus details;
  if (!details.ParseFromString(status.error_details())) details.Clear();
  return details;
}

// google.rpc.RetryInfo travels under its own type URL and is ours on the wire.
template <typename Message>
bool Unpack(const google::protobuf::Any& any, std::string_view name, Message* message) {
  const std::string& url = any.type_url();
  return url.size() > name.size() && url.ends_with(name) && url[url.size() - name.size() - 1] == '/' &&
         message->ParseFromString(any.value());
}

Json DetailJson(const google::protobuf::Any& any) {
  v1::Overload overload;
  v1::RetryInfo retry;
  const google::protobuf::Message* message = nullptr;
  if (Unpack(any, "driftseal.v1.Overload", &overload)) message = &overload;
  if (Unpack(any, "google.rpc.RetryInfo", &retry)) message = &retry;
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  Json json = {{"@type", any.type_url()}};
  if (message != nullptr && google::protobuf::util::MessageToJsonString(*message, &text, options).ok()) {
    json.update(Json::parse(text));
  }
  return json;
}

int64_t RetrySeconds(const v1::ErrorStatus& details) {
  for (const auto& any : details.details()) {
    v1::RetryInfo retry;
    if (!Unpack(any, "google.rpc.RetryInfo", &retry)) continue;
    return std::max<int64_t>(1, retry.retry_delay().seconds() + (retry.retry_delay().nanos() > 0 ? 1 : 0));
  }
  return 0;
}

std::string Body(int code, std::string_view name, const std::string& message, std::string_view request_id,
                 Json details) {
  Json error = {{"code", code}, {"status", name}, {"message", message}, {"request_id", request_id}};
  error["details"] = std::move(details);
  return Json{{"error", std::move(error)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

grpc::StatusCode CodeOf(int http_status) {
  switch (http_status) {
    case 404:
      return grpc::StatusCode::NOT_FOUND;
    case 405:
      return grpc::StatusCode::UNIMPLEMENTED;
    case 408:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case 503:
      return grpc::StatusCode::UNAVAILABLE;
    default:
      return grpc::StatusCode::INVALID_ARGUMENT;
  }
}

}  // namespace

int HttpStatusOf(grpc::StatusCode code) { return Find(code).http; }

std::string_view HttpReason(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Unknown";
  }
}

std::string HttpErrorBody(const grpc::Status& status, int http_status, std::string_view request_id) {
  Json list = Json::array();
  const v1::ErrorStatus details = Details(status);
  for (const auto& any : details.details()) list.push_back(DetailJson(any));
  return Body(http_status, Find(status.error_code()).name, status.error_message(), request_id, std::move(list));
}

HttpReply HttpErrorReply(const grpc::Status& status, std::string_view request_id) {
  HttpReply reply;
  reply.status = HttpStatusOf(status.error_code());
  reply.content_type = "application/json";
  reply.body = HttpErrorBody(status, reply.status, request_id) + "\n";
  reply.request_id = request_id;
  const int64_t retry = RetrySeconds(Details(status));
  if (retry > 0) reply.headers.emplace_back("Retry-After", std::to_string(retry));
  if (reply.status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"driftseal\"");
  return reply;
}

HttpReply HttpErrorReply(const absl::Status& status, std::string_view request_id) {
  return HttpErrorReply(grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message())),
                        request_id);
}

HttpReply HttpErrorReply(int http_status, std::string_view message, std::string_view request_id) {
  HttpReply reply;
  reply.status = http_status;
  reply.content_type = "application/json";
  reply.body =
      Body(http_status, Find(CodeOf(http_status)).name, std::string(message), request_id, Json::array()) + "\n";
  reply.request_id = request_id;
  return reply;
}

}  // namespace driftseal::serve
