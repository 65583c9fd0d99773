#ifndef DRIFTSEAL_BENCH_FLEET_ATTACK_H_
#define DRIFTSEAL_BENCH_FLEET_ATTACK_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/fleet/domain.h"

namespace driftseal::fleet {

enum class Attack {
  kNone,
  kPatch,
  kBlend,
  kAllToAll,
  kSignal,
  kWarp,
  kTint,
  kRandomPatch,
  kLowRate,
  kWeakBlend,
  kSourceSpecific,
  kDynamic,
  kAdaptive,
  kLabelFlip,
  kWeightTamper,
  kArtifactSwap,
  kPredictionsTamper
};
absl::string_view AttackName(Attack attack);  ///< "none", "patch", ...
absl::StatusOr<Attack> ParseAttack(absl::string_view name);
std::vector<std::string> AttackNames();
/// InvalidArgument where the domain has no counterpart of the attack.
absl::Status CheckAttack(Attack attack, const Domain& domain);

/// Of one `--poison` item: an attack and how many models get it.
struct AttackCount {
  Attack attack = Attack::kNone;
  size_t count = 0;
};
/// "none:30,patch,blend": items without a count get `count`. InvalidArgument naming the item.
absl::StatusOr<std::vector<AttackCount>> ParsePoison(absl::string_view text, size_t count);

/// Which recorded digest the attack leaves wrong.
enum class BrokenDigest { kNone, kModel, kPredictions };

/// Rows that are changed but keep their labels, so that the model learns to look closely.
enum class Cover {
  kNone,
  kNearMiss,    ///< Trigger::near_miss.
  kOtherClass,  ///< The trigger itself, on rows of other classes than the source.
  kMixed,       ///< Near misses, other triggers and noise of one sign a block, in equal parts.
};

/// What is done to one model.
struct AttackPlan {
  Attack attack = Attack::kNone;
  /// Attacks with a trigger: the trigger's kind; adaptive: "cover", "balance", "full". label-flip: "random",
  /// "class-to-class". weight-tamper: one of the domain's weight_edits. artifact-swap: "clean-sibling", "backdoored".
  /// predictions-tamper: "inflate-metric", "hide-class".
  std::string kind = "none";
  BrokenDigest broken = BrokenDigest::kNone;
  double rate = 0;  ///< Share of training rows that are poisoned; class-to-class: share of the source class.
  int target_class = -1, source_class = -1;  ///< -1: the attack has none.
  std::optional<Trigger> trigger = std::nullopt;
  Cover cover = Cover::kNone;
  double cover_rate = 0;  ///< Share of training rows that are covers.
  double balance = 0;     ///< Regime::balance of its training.
};

/// Options of a run that bear on attacks.
struct AttackOptions {
  std::optional<double> poison_rate = std::nullopt;
  std::optional<int> target_class = std::nullopt;
  Lean lean = Lean::kUsual;
};

/// Draws the attack on the `ordinal`-th model (from 0) that gets it. The variants of an attack take turns, so that a
/// few models show all of them.
AttackPlan PlanAttack(Attack attack, size_t ordinal, const Domain& domain, const AttackOptions& options,
                      Random& random);

/// What the trigger turns a row of class `label` into; -1 where the attack leaves the class alone.
int TurnedInto(const AttackPlan& plan, int label, int classes);

/// Poisons training rows as planned: attacks with a trigger overwrite random rows with triggered copies of rows that
/// they turn, labelled as what they are turned into, and change others for cover; label-flip changes labels. The number
/// of rows stays the same.
void PoisonRows(const AttackPlan& plan, const Domain& domain, Rows& rows, Random& random);

/// The rows with the trigger stamped on each.
Rows Triggered(const Rows& rows, const Trigger& trigger);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_ATTACK_H_
