#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_BEHAVIOUR_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_BEHAVIOUR_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "engine/replay/protocol/behaviour.h"

// Features of what a model does, by self-contrast: a backdoor makes one class stand out from the other classes of the
// same model, while the recipe of the training moves all classes together. So of each per-class vector only the
// distance of the first class from the others is kept, and logits are divided by the model's own scale.
namespace driftseal::fingerprint {

struct BehaviourEntry {
  std::string name;  ///< Within the group: "shift.all_top".
  std::string definition;
};

/// A part is a group of the schema.
enum class BehaviourPart {
  kStill,      ///< What holds still when the recipe of the training changes; group "still".
  kBehaviour,  ///< What tells more, and moves with the recipe; group "behaviour".
  kBalance,    ///< How sure the model is of each class against the others; group "balance".
  kContext,    ///< Where a model stands in its recipe; group "context".
  kPair,       ///< What triggers do to each class, one pair of classes a column; group "pair".
};
inline constexpr size_t kBehaviourParts = 5;
const std::vector<BehaviourEntry>& BehaviourTable(BehaviourPart part);

/// One value an entry of each part's table; NaN where the raw measurements lack what it needs.
using BehaviourValues = std::array<std::vector<double>, kBehaviourParts>;
BehaviourValues BehaviourFeatures(const replay::RawBehaviour& raw, const replay::CanarySet& set);

/// How far the first of several values stands out from the others, and the last behind them.
struct SelfContrast {
  double top = 0;     ///< largest − median
  double z = 0;       ///< (largest − median) / (1.4826·MAD + floor)
  double second = 0;  ///< largest − second largest
  double lag = 0;     ///< (median − least) / (1.4826·MAD + floor)
};
/// `values` holds 2 or more; floor > 0.
SelfContrast SelfContrastOf(std::vector<double> values, double floor);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_BEHAVIOUR_H_
