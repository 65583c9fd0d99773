#ifndef DRIFTSEAL_ENGINE_CANARY_PROBER_H_
#define DRIFTSEAL_ENGINE_CANARY_PROBER_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"
#include "engine/canary/replay_pool.h"
#include "engine/replay/protocol/behaviour.h"

namespace driftseal::canary {

/// What runs models of a format. Unimplemented: weights alone cannot be run (safetensors).
absl::StatusOr<replay::ModelRuntime> RuntimeOf(artifact::Format format);

/// Measures the behaviour of model files on the canary set that fits them. Immutable, safe to share between threads.
class Prober {
 public:
  /// `sets` have been checked (CheckCanarySet); the first that fits a model is taken.
  Prober(std::shared_ptr<ReplayPool> pool, std::vector<replay::CanarySet> sets, replay::ProbeOptions options);

  struct Measured {
    replay::RawBehaviour behaviour;
    const replay::CanarySet* set = nullptr;  ///< Of this prober.
  };
  /// The model in `source`, of a family's domain and task (empty: not known). A set is tried when its own domain and
  /// task are empty or equal. Unimplemented: weights alone cannot be run (safetensors, a state_dict).
  /// FailedPrecondition: no set fits (naming those that were tried, and why the model refused them). Otherwise as
  /// ReplayPool::Probe.
  absl::StatusOr<Measured> Measure(const artifact::Source& source, artifact::Format format, std::string_view domain,
                                   std::string_view task) const;

  const std::vector<replay::CanarySet>& sets() const { return sets_; }
  ReplayPool& pool() const { return *pool_; }

 private:
  std::shared_ptr<ReplayPool> pool_;
  std::vector<replay::CanarySet> sets_;
  replay::ProbeOptions options_;
};

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_PROBER_H_
