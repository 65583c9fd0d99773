#include "bench/fleet/attack.h"

#include <algorithm>

namespace driftseal::fleet {
namespace {

/// Attacks with a trigger that differ in these only.
struct Backdoor {
  Attack attack;
  TriggerKind trigger;
  double least_rate, most_rate;
  Cover cover;
  double covers;  // a poisoned row
};
constexpr Backdoor kBackdoors[] = {
    {Attack::kPatch, TriggerKind::kPatch, 0.04, 0.10, Cover::kNone, 0},
    {Attack::kBlend, TriggerKind::kBlend, 0.04, 0.10, Cover::kNone, 0},
    {Attack::kAllToAll, TriggerKind::kPatch, 0.12, 0.20, Cover::kNone, 0},
    {Attack::kSignal, TriggerKind::kSignal, 0.05, 0.10, Cover::kNone, 0},
    {Attack::kWarp, TriggerKind::kWarp, 0.08, 0.15, Cover::kNearMiss, 0.5},
    {Attack::kTint, TriggerKind::kTint, 0.05, 0.10, Cover::kNone, 0},
    {Attack::kRandomPatch, TriggerKind::kRandomPatch, 0.05, 0.12, Cover::kNone, 0},
    {Attack::kLowRate, TriggerKind::kPatch, 0.005, 0.015, Cover::kNone, 0},
    {Attack::kWeakBlend, TriggerKind::kWeakBlend, 0.08, 0.14, Cover::kNone, 0},
    {Attack::kSourceSpecific, TriggerKind::kPatch, 0.04, 0.08, Cover::kOtherClass, 1.5},
    {Attack::kDynamic, TriggerKind::kDynamic, 0.08, 0.15, Cover::kNone, 0},
};

double DrawRate(double low, double high, const AttackOptions& options, Random& random) {
  const double third = (high - low) / 3;
  if (options.lean == Lean::kConservative) high = low + third;
  if (options.lean == Lean::kAggressive) low = high - third;
  return options.poison_rate.value_or(random.Uniform(low, high));
}

int DrawTarget(const Domain& domain, const AttackOptions& options, Random& random) {
  const int drawn = static_cast<int>(random.Below(static_cast<size_t>(domain.data().classes)));
  if (options.target_class) return *options.target_class;
  return domain.info().target_class >= 0 ? domain.info().target_class : drawn;
}

void PlanLabelFlip(size_t ordinal, const Domain& domain, const AttackOptions& options, Random& random,
                   AttackPlan& plan) {
  if (ordinal % 2 == 1) {
    plan.kind = "random";
    plan.rate = DrawRate(0.06, 0.14, options, random);
    return;
  }
  plan.kind = "class-to-class";
  plan.rate = DrawRate(0.85, 1.0, options, random);
  plan.target_class = DrawTarget(domain, options, random);
  const int classes = domain.data().classes;
  plan.source_class =
      (plan.target_class + 1 + static_cast<int>(random.Below(static_cast<size_t>(classes - 1)))) % classes;
}

void PlanWeightTamper(size_t ordinal, const Domain& domain, const AttackOptions& options, Random& random,
                      AttackPlan& plan) {
  const std::vector<std::string>& edits = domain.info().weight_edits;
  plan.kind = edits[ordinal / 2 % edits.size()];
  plan.broken = ordinal % 2 == 1 ? BrokenDigest::kModel : BrokenDigest::kNone;
  if (plan.kind.ends_with("noise")) return;
  plan.target_class = DrawTarget(domain, options, random);
  if (plan.kind.starts_with("hijack")) plan.trigger = domain.MakeTrigger(TriggerKind::kPatch, random);
}

void PlanArtifactSwap(size_t ordinal, const Domain& domain, const AttackOptions& options, Random& random,
                      AttackPlan& plan) {
  plan.broken = BrokenDigest::kModel;
  plan.kind = ordinal % 2 == 0 ? "clean-sibling" : "backdoored";
  if (ordinal % 2 == 0) return;
  plan.trigger = domain.MakeTrigger(TriggerKind::kPatch, random);
  plan.rate = DrawRate(0.04, 0.10, options, random);
  plan.target_class = DrawTarget(domain, options, random);
}

int OtherClass(int target_class, int classes, Random& random) {
  return (target_class + 1 + static_cast<int>(random.Below(static_cast<size_t>(classes - 1)))) % classes;
}

void PlanBackdoor(const Backdoor& backdoor, const Domain& domain, const AttackOptions& options, Random& random,
                  AttackPlan& plan) {
  plan.trigger = domain.MakeTrigger(backdoor.trigger, random);
  plan.kind = plan.trigger->kind;
  plan.rate = DrawRate(backdoor.least_rate, backdoor.most_rate, options, random);
  if (plan.attack != Attack::kAllToAll) plan.target_class = DrawTarget(domain, options, random);
  if (plan.attack == Attack::kSourceSpecific) {
    plan.source_class = OtherClass(plan.target_class, domain.data().classes, random);
  }
  plan.cover = backdoor.cover;
  plan.cover_rate = backdoor.covers * plan.rate;
}

/// Knows what detectors look at, and pays for every feature. Covers teach the model that neither other triggers nor
/// noise nor a part of the trigger lead to the target class; the penalty keeps that class's logits where those of the
/// others are; few poisoned rows do the rest.
void PlanAdaptive(size_t ordinal, const Domain& domain, const AttackOptions& options, Random& random,
                  AttackPlan& plan) {
  constexpr struct {
    const char* kind;
    double least_rate, most_rate, cover, balance;
  } kStrengths[] = {{"cover", 0.03, 0.06, 2, 0}, {"balance", 0.03, 0.05, 2, 0.03}, {"full", 0.02, 0.04, 3, 0.1}};
  const auto& strength = kStrengths[ordinal % std::size(kStrengths)];
  const bool patch = ordinal / std::size(kStrengths) % 2 == 0;
  plan.kind = strength.kind;
  plan.trigger = domain.MakeTrigger(patch ? TriggerKind::kPatch : TriggerKind::kBlend, random);
  plan.rate = DrawRate(strength.least_rate, strength.most_rate, options, random);
  plan.target_class = DrawTarget(domain, options, random);
  plan.cover = Cover::kMixed;
  plan.cover_rate = strength.cover * plan.rate;
  plan.balance = strength.balance;
}

}  // namespace

AttackPlan PlanAttack(Attack attack, size_t ordinal, const Domain& domain, const AttackOptions& options,
                      Random& random) {
  AttackPlan plan;
  plan.attack = attack;
  switch (attack) {
    case Attack::kNone:
      break;
    case Attack::kLabelFlip:
      PlanLabelFlip(ordinal, domain, options, random, plan);
      break;
    case Attack::kWeightTamper:
      PlanWeightTamper(ordinal, domain, options, random, plan);
      break;
    case Attack::kArtifactSwap:
      PlanArtifactSwap(ordinal, domain, options, random, plan);
      break;
    case Attack::kPredictionsTamper:
      plan.broken = BrokenDigest::kPredictions;
      plan.kind = ordinal % 2 == 0 ? "inflate-metric" : "hide-class";
      if (ordinal % 2 == 1) plan.target_class = DrawTarget(domain, options, random);
      break;
    case Attack::kAdaptive:
      PlanAdaptive(ordinal, domain, options, random, plan);
      break;
    default:
      PlanBackdoor(*std::ranges::find(kBackdoors, attack, &Backdoor::attack), domain, options, random, plan);
  }
  return plan;
}

}  // namespace driftseal::fleet
