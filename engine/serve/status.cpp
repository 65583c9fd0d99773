#include "engine/serve/status.h"

#include <algorithm>
#include <string>

#include "absl/strings/cord.h"

namespace driftseal::serve {
namespace {

constexpr char kOverloadUrl[] = "type.googleapis.com/driftseal.v1.Overload";
constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";

constexpr int64_t kNanosPerSecond = 1'000'000'000;

bool HasText(const absl::Status& status) { return !status.message().empty(); }

}  // namespace

absl::Status WithRetry(absl::Status status, std::chrono::nanoseconds retry_after) {
  v1::RetryInfo info;
  const int64_t nanos = std::max<int64_t>(retry_after.count(), 0);
  info.mutable_retry_delay()->set_seconds(nanos / kNanosPerSecond);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanos % kNanosPerSecond));
  status.SetPayload(kRetryInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status WithOverload(absl::Status status, v1::Overload::Resource resource, uint64_t used, uint64_t limit,
                          std::chrono::nanoseconds retry_after) {
  v1::Overload overload;
  overload.set_resource(resource);
  overload.set_used(used);
  overload.set_limit(limit);
  status.SetPayload(kOverloadUrl, absl::Cord(overload.SerializeAsString()));
  return WithRetry(std::move(status), retry_after);
}

std::chrono::nanoseconds RetryAfter(const absl::Status& status) {
  const auto payload = status.GetPayload(kRetryInfoUrl);
  v1::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return std::chrono::nanoseconds(0);
  return std::chrono::seconds(info.retry_delay().seconds()) + std::chrono::nanoseconds(info.retry_delay().nanos());
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // absl's codes are google.rpc.Code's, as gRPC's are.
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message().data(), status.message().size());
  v1::ErrorStatus details;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& bytes) {
    google::protobuf::Any* any = details.add_details();
    any->set_type_url(std::string(url.data(), url.size()));
    any->set_value(std::string(bytes));
  });
  if (details.details_size() == 0) return {code, message};
  details.set_code(static_cast<int32_t>(status.code()));
  details.set_message(message);
  return {code, message, details.SerializeAsString()};
}

v1::ItemError ToItemError(const absl::Status& status) {
  v1::ItemError error;
  error.set_code(static_cast<int32_t>(status.code()));
  if (HasText(status)) error.set_message(status.message().data(), status.message().size());
  const auto retry = RetryAfter(status);
  // Rounded up: a delay of less than a millisecond is no "never".
  error.set_retry_after_ms(static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(retry + std::chrono::nanoseconds(999'999)).count()));
  return error;
}

const char* CodeName(grpc::StatusCode code) {
  static constexpr const char* kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "UNKNOWN";
}

}  // namespace driftseal::serve
