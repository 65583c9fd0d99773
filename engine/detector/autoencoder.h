#ifndef DRIFTSEAL_ENGINE_DETECTOR_AUTOENCODER_H_
#define DRIFTSEAL_ENGINE_DETECTOR_AUTOENCODER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/detector/plan.h"
#include "kernels/autoencoder/autoencoder.h"

namespace driftseal::detector {

/// For each plan kFolds networks, network f trained without fold f, and then the one trained on all fitting rows. One
/// call of the replay program for up to 200 plans. FailedPrecondition when there is no such program.
absl::StatusOr<std::vector<std::vector<kernels::autoencoder::Network>>> TrainAutoencoders(
    const std::vector<Plan>& plans, const FitOptions& options);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_AUTOENCODER_H_
