#ifndef DRIFTSEAL_ENGINE_REPLAY_PROBE_MEASURE_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROBE_MEASURE_H_

#include "absl/status/status.h"
#include "engine/replay/probe/bank.h"
#include "engine/replay/probe/classifier.h"
#include "engine/replay/probe/search.h"
#include "engine/replay/probe/space.h"
#include "engine/replay/protocol/behaviour.h"

// The parts of a probe that need no search, and the picture that a person is shown. README.md says what each computes.
namespace driftseal::replay {

absl::Status MeasureSweep(Classifier& classifier, const Space& space, const CanarySet& set,
                          const std::vector<BankEntry>& bank, RawBehaviour& behaviour);
absl::Status MeasureNoise(Classifier& classifier, const Space& space, const CanarySet& set, RawBehaviour& behaviour);
/// FailedPrecondition, with the reason, where there is no last layer to be found.
absl::Status MeasureHead(Classifier& classifier, RawBehaviour& behaviour);

/// Of the sweep's strongest collapse or that of the patches (`found` empty: not searched), whichever stands out more
/// from what the other classes show. Leaves the picture empty where nothing is sent anywhere.
absl::Status TakePicture(Classifier& classifier, const Space& space, const CanarySet& set,
                         const std::vector<BankEntry>& bank, const Found& found, RawBehaviour& behaviour);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROBE_MEASURE_H_
