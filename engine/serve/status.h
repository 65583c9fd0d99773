#ifndef DRIFTSEAL_ENGINE_SERVE_STATUS_H_
#define DRIFTSEAL_ENGINE_SERVE_STATUS_H_

#include <chrono>
#include <cstdint>

#include "absl/status/status.h"
#include "driftseal/v1/errors.pb.h"
#include "driftseal/v1/verdict.pb.h"
#include "grpcpp/support/status.h"

// The one place where our errors become gRPC's. Details travel as payloads of absl::Status.
namespace driftseal::serve {

/// `status` with its details: what there was too much of, and after which time to try again.
absl::Status WithOverload(absl::Status status, v1::Overload::Resource resource, uint64_t used, uint64_t limit,
                          std::chrono::nanoseconds retry_after);
absl::Status WithRetry(absl::Status status, std::chrono::nanoseconds retry_after);
/// Zero where the status has no RetryInfo.
std::chrono::nanoseconds RetryAfter(const absl::Status& status);

/// The same code and message; details, where there are any, as driftseal.v1.ErrorStatus.
grpc::Status ToGrpc(const absl::Status& status);
/// For one item of a stream.
v1::ItemError ToItemError(const absl::Status& status);
/// "RESOURCE_EXHAUSTED": as gRPC and HTTP clients know it.
const char* CodeName(grpc::StatusCode code);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_STATUS_H_
