#ifndef DRIFTSEAL_ENGINE_CANARY_EXPECTED_H_
#define DRIFTSEAL_ENGINE_CANARY_EXPECTED_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/source.h"
#include "engine/canary/materialize.h"
#include "engine/canary/replay_pool.h"

// Whether a model still answers as it did when its canaries were made. Whoever screens a model calls, with the files
// that its meta file names (artifacts.canary_path) and what it recorded (fingerprint.*):
//
//   OpenExpected(canary source, {meta.canary_sha256, meta.behaviour_hash})   → the file, once it is the recorded one
//   CheckExpected(pool, model bytes, runtime, digest of those bytes, file)   → Comparison
//
// and makes signals of it: DataLoss of OpenExpected (the canary file was exchanged) and a Comparison that is not
// `equal` are findings; `equal` without `bound` means that the model file is another one that answers the same
// ("re-serialised, same behaviour").
namespace driftseal::canary {

/// What a meta file recorded.
struct RecordedCanary {
  std::optional<artifact::Digest> sha256;          ///< fingerprint.canary_sha256
  std::optional<artifact::Digest> behaviour_hash;  ///< fingerprint.behaviour_hash
};
/// Reads a canary file. DataLoss when it is not the recorded one; otherwise as ReadCanaryFile.
absl::StatusOr<CanaryFile> OpenExpected(const artifact::Source& source, const RecordedCanary& recorded);

struct Comparison {
  bool bound = false;                ///< The canaries were made of exactly this model file.
  bool equal = false;                ///< The behaviour hash is the recorded one.
  artifact::Digest expected, found;  ///< Behaviour hashes.
  size_t inputs = 0;
  size_t compared = 0, different = 0;  ///< Entries of the hash that are not masked; of those, that differ.
  double distance = 0;                 ///< different / compared.
  double largest = 0, scale = 0;       ///< Largest change of a logit; the size of the model's own logits.
  /// Inputs whose class changes by more than the bound explains, most certain before first; at most kMostListed.
  struct Changed {
    size_t input = 0;
    InputKind kind = InputKind::kReference;
    int32_t label = -1, before = 0, after = 0;
    float margin = 0;  ///< Of the class before, in logits.
  };
  static constexpr size_t kMostListed = 20;
  size_t changed_class = 0;
  std::vector<Changed> changed;
};
/// Runs the model on the canaries of `file`. Errors as ReplayPool::Replay; FailedPrecondition when the model has
/// another number of classes than was recorded.
absl::StatusOr<Comparison> CheckExpected(ReplayPool& pool, std::span<const std::byte> model,
                                         replay::ModelRuntime runtime, const artifact::Digest& model_sha256,
                                         const CanaryFile& file);

/// One sentence for a person: "answers as recorded on 592 canaries", "another file than was recorded, with the same
/// behaviour on 592 canaries (re-serialised)", "3 % of its answers changed; 12 of 592 canaries get another class".
std::string TextOf(const Comparison& comparison);

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_EXPECTED_H_
