#ifndef DRIFTSEAL_ENGINE_REPLAY_TRAIN_H_
#define DRIFTSEAL_ENGINE_REPLAY_TRAIN_H_

#include "absl/status/statusor.h"
#include "engine/replay/protocol/train.h"

namespace driftseal::replay {

/// Trains every job of a checked request. Internal, naming the job, when a loss does not stay finite.
absl::StatusOr<TrainResponse> Train(const TrainRequest& request);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_TRAIN_H_
