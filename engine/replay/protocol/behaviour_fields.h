#ifndef DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_BEHAVIOUR_FIELDS_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_BEHAVIOUR_FIELDS_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/replay/protocol/behaviour.h"

// The tensors of a behaviour file, in one place for the reader and the writer. Not for other folders.
namespace driftseal::replay {

inline constexpr char kBehaviourFormat[] = "driftseal-behaviour/1";

inline constexpr size_t kMostTriggers = 256, kMostMarginStarts = 64, kMostNotes = 32, kLongestBehaviourText = 600;
inline constexpr std::array<std::string_view, 9> kTriggerGroups = {"patch", "blend",    "tint",   "wave",   "shift",
                                                                   "warp",  "contrast", "column", "columns"};

/// What the sizes of a field are.
enum class Extent { kNone, kInputs, kClasses, kTriggers, kStarts, kThree };

/// A tensor of floats: its name, its shape, whether its values are shares, and which part it belongs to. Of a part,
/// either all tensors are there or none.
struct FloatField {
  std::string name;
  std::string_view part;
  Extent rows, columns;  ///< columns: kNone for a vector
  bool share;
  std::vector<float>* values;
};

inline std::vector<FloatField> FloatFields(RawBehaviour& b) {
  using enum Extent;
  return {{"logits", "logits", kInputs, kClasses, false, &b.logits},
          {"sweep", "sweep", kTriggers, kClasses, true, &b.sweep},
          {"shift", "sweep", kTriggers, kClasses, false, &b.shift},
          {"flips", "sweep", kTriggers, kNone, true, &b.flips},
          {"mapped", "sweep", kTriggers, kNone, true, &b.mapped},
          {"pair_local", "pair", kClasses, kClasses, true, &b.pair_local},
          {"pair_other", "pair", kClasses, kClasses, true, &b.pair_other},
          {"perturbation_rate.0", "perturbation", kClasses, kNone, true, &b.perturbation_rate[0]},
          {"perturbation_rate.1", "perturbation", kClasses, kNone, true, &b.perturbation_rate[1]},
          {"perturbation_logit.0", "perturbation", kClasses, kNone, false, &b.perturbation_logit[0]},
          {"perturbation_logit.1", "perturbation", kClasses, kNone, false, &b.perturbation_logit[1]},
          {"patch_rate", "patch", kClasses, kNone, true, &b.patch_rate},
          {"patch_logit", "patch", kClasses, kNone, false, &b.patch_logit},
          {"margin", "margin", kClasses, kStarts, false, &b.margin},
          {"noise_share", "noise", kClasses, kNone, true, &b.noise_share},
          {"noise_logit", "noise", kClasses, kNone, false, &b.noise_logit},
          {"noise_margin", "noise", kThree, kNone, false, &b.noise_margin},
          {"head_share", "head", kClasses, kNone, true, &b.head_share},
          {"head_logit", "head", kClasses, kNone, false, &b.head_logit}};
}

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_BEHAVIOUR_FIELDS_H_
