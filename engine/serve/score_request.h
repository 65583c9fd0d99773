#ifndef DRIFTSEAL_ENGINE_SERVE_SCORE_REQUEST_H_
#define DRIFTSEAL_ENGINE_SERVE_SCORE_REQUEST_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "driftseal/v1/scoring.pb.h"
#include "engine/batch/batcher.h"
#include "engine/serve/engine.h"
#include "grpcpp/support/byte_buffer.h"

// What Score and ScoreStream share: from a request to a job of the batcher, and from its scores to a response.
namespace driftseal::serve {

/// A call that scores more fingerprints than this is refused: each one is files to read.
inline constexpr int kFingerprintsLimit = 1024;

/// Parses a message. InvalidArgument where it is none of this type.
absl::Status Parse(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message);
/// Whether a ScoreRequest, by its size and its first fields, holds rows that take longer to read than it takes to ask
/// whether there is room for them.
bool AreManyRows(const grpc::ByteBuffer& bytes);
/// The message's bytes, in one piece.
grpc::ByteBuffer Serialize(const google::protobuf::MessageLite& message);

/// From a request of rows to a job, as far as the batcher does not check it anyway (infinite values, too many rows, the
/// family). Errors name the field. The job's rows are a view into `request`, which must outlive it. Its client and
/// deadline are the caller's to set.
absl::Status FillJob(const Engine& engine, const v1::ScoreRequest& request, batch::Job& job);

/// What a job's scores come to.
void FillResponse(const batch::Job& job, v1::ScoreResponse& response);

/// The batcher's refusal: with the field's name, or the load that it found and when to try again.
absl::Status Refusal(const absl::Status& status, const batch::Load& load);

/// The enumerations as the detector and the batcher have them; InvalidArgument, naming the field, for values that there
/// are not.
absl::StatusOr<detector::Detail> DetailOf(const v1::ScoreRequest& request);
absl::StatusOr<batch::Priority> PriorityOf(v1::Priority priority);

/// Reads and scores the request's fingerprints, in double precision, on the thread that calls. Errors name the file.
/// `cancelled` is asked between files.
absl::Status ScoreFingerprints(const Engine& engine, const v1::ScoreRequest& request,
                               const std::function<bool()>& cancelled, v1::ScoreResponse& response);
/// One driver, with the name of its column.
void FillDriver(const detector::Driver& driver, const std::vector<std::string>& features, v1::Driver& out);
/// Of such a request, what can be told at once.
absl::Status CheckFingerprints(const v1::ScoreRequest& request);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_SCORE_REQUEST_H_
