#ifndef DRIFTSEAL_ENGINE_CANARY_MATERIALIZE_H_
#define DRIFTSEAL_ENGINE_CANARY_MATERIALIZE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/source.h"
#include "engine/canary/behaviour_hash.h"
#include "engine/canary/replay_pool.h"
#include "engine/replay/protocol/behaviour.h"

// Canary inputs of one model with the answers that are expected of it: docs/formats/canary.md.
namespace driftseal::canary {

enum class InputKind : int32_t { kReference = 0, kNoise = 1, kStructured = 2, kBoundary = 3 };
std::string_view KindName(InputKind kind);  ///< "reference", "noise", "structured", "boundary"

/// The content of a `*.canary.safetensors`. N inputs, C classes.
struct CanaryFile {
  replay::CanarySet set;         ///< All inputs, and the references' labels (−1 for the others).
  std::vector<InputKind> kinds;  ///< N
  uint32_t classes = 0;
  bool probabilities = false;     ///< The model gave probabilities; outputs are their logarithms.
  std::vector<float> outputs;     ///< N × C logits.
  artifact::Digest model_sha256;  ///< Of the artifact that gave them.
  EnrolledBehaviour behaviour;    ///< Of the outputs.
};

inline constexpr uint64_t kMostCanaryFileBytes = uint64_t{320} << 20;

/// Whether the file's head says so and its tensors are those of such a file and no others: it is no model.
bool IsCanaryFile(const artifact::Source& source);
absl::StatusOr<std::string> EncodeCanaryFile(const CanaryFile& file);
/// InvalidArgument naming the file and what does not fit: tensors, shapes, values that are not finite, a behaviour hash
/// that is not the outputs'. ResourceExhausted above kMostCanaryFileBytes.
absl::StatusOr<CanaryFile> ReadCanaryFile(const artifact::Source& source);

struct MaterializeOptions {
  size_t noise = 64, structured = 64, boundary = 64;  ///< At most; fewer where inputs are large.
  uint64_t seed = 1;
};

/// Runs the model on the references (a set without inputs serves by its shape and range alone), on noise, and on inputs
/// near its own boundaries. The same model, references and options give the same file on one machine. Errors as
/// ReplayPool::Replay; InvalidArgument when the references are no canary set.
absl::StatusOr<CanaryFile> Materialize(ReplayPool& pool, std::span<const std::byte> model, replay::ModelRuntime runtime,
                                       const artifact::Digest& model_sha256, const replay::CanarySet& references,
                                       const MaterializeOptions& options);

/// SHA-256 of shape and inputs, as the behaviour hash takes it.
artifact::Digest InputsDigest(const replay::CanarySet& set);

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_MATERIALIZE_H_
