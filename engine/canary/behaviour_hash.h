#ifndef DRIFTSEAL_ENGINE_CANARY_BEHAVIOUR_HASH_H_
#define DRIFTSEAL_ENGINE_CANARY_BEHAVIOUR_HASH_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/digest.h"

// A hash of what a model answers, equal on every device whose arithmetic differs by no more than a bound. Logits are
// centred in each row, g ← g − mean(g), and quantised, q = round(g/Δ). An entry that lies within reach of a bucket's
// edge could fall on either side elsewhere and is masked; so are ranks that another device could swap. The mask is that
// of the model that was enrolled, and is hashed along (docs/formats/canary.md).
namespace driftseal::canary {

struct HashParameters {
  double step = 0;     ///< Δ, in logits; > 0.
  double bound = 0;    ///< Logits of one model may differ by so much between devices; 4·bound < step.
  uint32_t order = 3;  ///< First ranks of each input that are compared.
  bool operator==(const HashParameters&) const = default;
};

/// Steps of a quarter of the model's own scale, the root mean square of its centred logits, and a bound of 1/256 of it:
/// some 6 % of the entries are masked.
HashParameters ParametersOf(std::span<const float> logits, size_t classes);

/// A model's behaviour as it was enrolled. Symbols are N × C quantised logits, then N × order classes by rank.
struct EnrolledBehaviour {
  uint32_t inputs = 0, classes = 0;
  HashParameters parameters;
  artifact::Digest inputs_sha256;  ///< Of what the model was asked.
  std::vector<int32_t> symbols;    ///< 0 where masked.
  std::vector<uint8_t> mask;       ///< 1: not compared.
  artifact::Digest hash;
};
/// `logits` is N × classes. InvalidArgument: not so, fewer than 2 classes, values that are not finite, or parameters
/// out of their range.
absl::StatusOr<EnrolledBehaviour> EnrolBehaviour(std::span<const float> logits, size_t classes,
                                                 const HashParameters& parameters,
                                                 const artifact::Digest& inputs_sha256);

struct BehaviourMatch {
  artifact::Digest hash;  ///< With the enrolled mask: the same behaviour has the enrolled hash.
  bool equal = false;
  size_t compared = 0;   ///< Entries that are not masked.
  size_t different = 0;  ///< Of those.
  double Distance() const { return compared == 0 ? 0 : static_cast<double>(different) / static_cast<double>(compared); }
};
/// How the answers to the same inputs compare. Equal for logits that differ from the enrolled ones by at most the
/// bound. InvalidArgument when they are of another shape or not finite.
absl::StatusOr<BehaviourMatch> MatchBehaviour(std::span<const float> logits, const EnrolledBehaviour& enrolled);

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_BEHAVIOUR_HASH_H_
