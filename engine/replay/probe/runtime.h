#ifndef DRIFTSEAL_ENGINE_REPLAY_PROBE_RUNTIME_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROBE_RUNTIME_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/replay/protocol/behaviour.h"

// What opens and runs a model. A new kind of model file is a new Runtime; everything above works on plain arrays.
namespace driftseal::replay {

/// The last linear layer: outputs = weight · latent + bias.
struct Head {
  size_t outputs = 0, latents = 0;
  std::vector<float> weight;  ///< outputs × latents
  std::vector<float> bias;    ///< outputs
};

/// Fills the second with the gradient of what is sought with respect to the first.
using Pull = absl::FunctionRef<void(std::span<const float>, std::span<float>)>;

class Runtime {
 public:
  virtual ~Runtime() = default;
  /// `outputs`: count rows of equal width. InvalidArgument when the model does not answer so, Internal with its own
  /// message when its code failed.
  virtual absl::Status Run(std::span<const float> inputs, size_t count, std::vector<float>& outputs) = 0;
  /// Runs, lets `pull` say the gradient with respect to the outputs, and gives the one with respect to the inputs.
  /// FailedPrecondition, with the reason, where there is none to be had.
  virtual absl::Status RunBack(std::span<const float> inputs, size_t count, Pull pull, std::span<float> gradient) = 0;
  /// The last layer that has `outputs` outputs; FailedPrecondition with the reason when there is none.
  virtual absl::StatusOr<Head> LastLayer(size_t outputs) = 0;
};

absl::StatusOr<std::unique_ptr<Runtime>> OpenTorch(std::span<const std::byte> model, const CanarySet& set);
absl::StatusOr<std::unique_ptr<Runtime>> OpenXgboost(std::span<const std::byte> model, const CanarySet& set);

/// A message of foreign code, fit to be shown: its last lines, printable ASCII, cut.
std::string ForeignMessage(std::string_view text);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROBE_RUNTIME_H_
