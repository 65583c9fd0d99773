#include "driftseal/status.h"

#include <algorithm>
#include <string_view>

#include "client/cpp/src/core.h"
#include "driftseal/v1/errors.pb.h"

namespace driftseal {

const char* CodeName(Code code) {
  static constexpr const char* kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto number = static_cast<size_t>(code);
  return number < std::size(kNames) ? kNames[number] : "UNKNOWN";
}

std::string Status::ToString() const {
  if (ok()) return "OK";
  std::string text = std::string(CodeName(code)) + ": " + message;
  std::string more;
  if (!request_id.empty()) more += "request " + request_id;
  if (attempts > 1) more += (more.empty() ? "" : ", ") + std::to_string(attempts) + " attempts";
  return more.empty() ? text : text + " (" + more + ")";
}

namespace internal {
namespace {

constexpr char kRetryInfoType[] = "/google.rpc.RetryInfo";
constexpr char kOverloadType[] = "/driftseal.v1.Overload";

const char* ResourceName(v1::Overload::Resource resource) {
  switch (resource) {
    case v1::Overload::RESOURCE_QUEUE:
      return "queue";
    case v1::Overload::RESOURCE_CLIENT_QUEUE:
      return "client-queue";
    case v1::Overload::RESOURCE_CLIENT_RATE:
      return "client-rate";
    case v1::Overload::RESOURCE_CLIENT_CALLS:
      return "client-calls";
    case v1::Overload::RESOURCE_VERIFICATIONS:
      return "verifications";
    case v1::Overload::RESOURCE_OPERATIONS:
      return "operations";
    default:
      return "unknown";
  }
}

bool EndsWith(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

// A delay that makes no sense (negative, or longer than an hour) is cut to one that does.
std::chrono::milliseconds Sensible(const google::protobuf::Duration& delay) {
  const int64_t seconds = std::clamp<int64_t>(delay.seconds(), 0, 3600);
  return std::chrono::milliseconds(seconds * 1000 + std::clamp(delay.nanos(), 0, 999'999'999) / 1'000'000);
}

void ReadDetails(const std::string& bytes, Status& status) {
  v1::ErrorStatus details;
  if (bytes.empty() || !details.ParseFromString(bytes)) return;
  for (const google::protobuf::Any& detail : details.details()) {
    if (EndsWith(detail.type_url(), kRetryInfoType)) {
      v1::RetryInfo info;
      if (info.ParseFromString(detail.value())) status.retry_after = Sensible(info.retry_delay());
    } else if (EndsWith(detail.type_url(), kOverloadType)) {
      v1::Overload overload;
      if (!overload.ParseFromString(detail.value())) continue;
      status.load = Load{ResourceName(overload.resource()), overload.used(), overload.limit()};
    }
  }
}

}  // namespace

Status StatusOf(const grpc::Status& status, const grpc::ClientContext& context, const std::string& request_id) {
  Status out;
  out.code = static_cast<Code>(status.error_code());
  if (out.code < Code::kOk || out.code > Code::kUnauthenticated) out.code = Code::kUnknown;
  out.message = status.error_message();
  out.request_id = request_id;
  const auto& trailers = context.GetServerTrailingMetadata();
  if (const auto id = trailers.find("x-request-id"); id != trailers.end()) {
    out.request_id = std::string(id->second.data(), id->second.size());
  }
  if (!out.ok()) ReadDetails(status.error_details(), out);
  return out;
}

Status InvalidArgument(std::string message) { return {Code::kInvalidArgument, std::move(message), {}, {}, {}, 0}; }

Status Cancelled(Status status) {
  status.message = "cancelled; before that: " + status.message;
  status.code = Code::kCancelled;
  return status;
}

}  // namespace internal
}  // namespace driftseal
