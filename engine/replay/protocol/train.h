#ifndef DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_TRAIN_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_TRAIN_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Training of autoencoders: any number of them in one call, so that LibTorch is loaded once.
namespace driftseal::replay {

/// `rows` × `cols` values that several jobs may share.
struct TrainingSet {
  size_t rows = 0, cols = 0;
  std::vector<float> values;  ///< row-major
};

/// One network: cols → hidden[0] → … → cols with tanh between and identity at the end, trained on all rows of a set but
/// `leave_out`, full batch, with Adam on the mean squared error. The initial weights are drawn from `seed` by our own
/// generator, so that the result depends on nothing else.
struct TrainJob {
  size_t set = 0;
  std::vector<uint32_t> leave_out;  ///< Row numbers, ascending.
  std::vector<uint32_t> hidden;
  uint32_t epochs = 0;
  double learning_rate = 0, weight_decay = 0;
  uint64_t seed = 0;
};

struct TrainRequest {
  std::vector<TrainingSet> sets;
  std::vector<TrainJob> jobs;
  unsigned threads = 1;  ///< Jobs at once; does not change the result.
};

struct TrainedLayer {
  size_t inputs = 0, outputs = 0;
  std::vector<float> weights;  ///< outputs × inputs, row-major
  std::vector<float> bias;     ///< outputs
};
/// One network a job.
using TrainResponse = std::vector<std::vector<TrainedLayer>>;

/// Payloads of frames. A request's metadata holds "command": "train" and "request": the jobs as JSON; its tensors are
/// set.<i>. A response's tensors are job.<j>.layer.<l>.weight and .bias; instead, an error has only the metadata
/// "error".
absl::StatusOr<std::string> EncodeRequest(const TrainRequest& request);
absl::StatusOr<TrainRequest> DecodeRequest(std::string_view payload);
absl::StatusOr<std::string> EncodeResponse(const TrainResponse& response);
std::string EncodeError(const absl::Status& error);
/// The status of EncodeError where the payload is one. Checks the networks against the request they answer.
absl::StatusOr<TrainResponse> DecodeResponse(std::string_view payload, const TrainRequest& request);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_TRAIN_H_
