#ifndef DRIFTSEAL_ENGINE_REPLAY_PROBE_CLASSIFIER_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROBE_CLASSIFIER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/replay/probe/runtime.h"
#include "engine/replay/protocol/behaviour.h"

namespace driftseal::replay {

/// A model as the measurements see it: inputs in, logits out, whatever it answers with. A single output becomes two
/// classes, 0 and m for a score m, log(1 − p) and log p for a probability; rows of probabilities become their
/// logarithms.
class Classifier {
 public:
  /// Runs the model on the set. InvalidArgument when it does not take the inputs or has no classes, or others than the
  /// set says.
  static absl::StatusOr<Classifier> Open(std::unique_ptr<Runtime> runtime, const CanarySet& set);

  size_t classes() const { return classes_; }
  bool probabilities() const { return probabilities_; }
  const std::vector<float>& canary_logits() const { return canary_logits_; }  ///< count × classes

  /// count × classes, finite. In batches; Internal when the model fails or an output is not finite.
  absl::Status Logits(std::span<const float> inputs, size_t count, std::vector<float>& logits);
  /// One batch: `pull` is shown the logits and says the gradient with respect to them.
  absl::Status Gradient(std::span<const float> inputs, size_t count, Pull pull, std::span<float> gradient);
  absl::StatusOr<Head> LastLayer() { return runtime_->LastLayer(width_); }

  /// Inputs that are best run at once: enough to keep the processor busy, few enough to stay in its caches.
  size_t batch() const { return batch_; }

 private:
  Classifier(std::unique_ptr<Runtime> runtime, size_t elements);
  absl::Status Learn(const CanarySet& set, const std::vector<float>& outputs);
  void ToLogits(std::span<const float> outputs, std::span<float> logits) const;
  void ToOutputs(std::span<const float> outputs, std::span<const float> logit_gradient,
                 std::span<float> gradient) const;

  std::unique_ptr<Runtime> runtime_;
  size_t elements_ = 0, width_ = 0, classes_ = 0, batch_ = 1;
  bool probabilities_ = false;
  std::vector<float> canary_logits_;
  std::vector<float> outputs_, logits_, logit_gradient_;  ///< Kept between batches.
};

/// The class of each row, the first one of equals.
std::vector<uint32_t> Classes(std::span<const float> logits, size_t classes);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROBE_CLASSIFIER_H_
