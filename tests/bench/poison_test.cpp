// What attacks with triggers do to the rows a model trains on.
#include <gmock/gmock.h>

#include <set>

#include "bench/fleet/attack.h"
#include "bench/fleet/digits_data.h"

namespace driftseal::fleet {
namespace {

/// The generated digits, without a network.
class DigitsOnly : public Domain {
 public:
  DigitsOnly() : data_(*DivideDigits(GenerateDigits(1797, 1), "generated")) {
    info_.name = "digits-only";
    info_.model_kind = "mlp";
    info_.target_class = -1;
    info_.inputs = {.shape = {64}, .image = {1, 8, 8}};
  }
  const DomainInfo& info() const override { return info_; }
  const Data& data() const override { return data_; }
  Trigger MakeTrigger(TriggerKind kind, Random& random) const override { return ImageTrigger(kind, 8, random); }
  absl::StatusOr<TrainResult> Train(const Rows&, const Recipe&, const Regime&, uint64_t) const override {
    return absl::UnimplementedError("");
  }

 private:
  DomainInfo info_;
  Data data_;
};

const DigitsOnly& TheDomain() {
  static const DigitsOnly domain;
  return domain;
}

/// How many rows differ from the clean ones in their values, in their labels, in both.
struct Changes {
  size_t values = 0, labels = 0, both = 0;
};

Changes Compare(const Rows& clean, const Rows& rows) {
  Changes changes;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool value = !std::ranges::equal(rows.row(i), clean.row(i)), label = rows.labels[i] != clean.labels[i];
    changes.values += value;
    changes.labels += label;
    changes.both += value && label;
  }
  return changes;
}

constexpr Attack kBackdoors[] = {Attack::kPatch,     Attack::kBlend,   Attack::kAllToAll, Attack::kSignal,
                                 Attack::kWarp,      Attack::kTint,    Attack::kLowRate,  Attack::kRandomPatch,
                                 Attack::kWeakBlend, Attack::kDynamic, Attack::kAdaptive, Attack::kSourceSpecific};

TEST(Poison, EveryBackdoorChangesTheShareOfRowsThatItsPlanSays) {
  for (Attack attack : kBackdoors) {
    Random random(7);
    const AttackPlan plan = PlanAttack(attack, 1, TheDomain(), {}, random);
    const Rows& clean = TheDomain().data().pool;
    Rows rows = clean;
    PoisonRows(plan, TheDomain(), rows, random);
    ASSERT_EQ(rows.size(), clean.size());
    const Changes changes = Compare(clean, rows);
    const double n = static_cast<double>(rows.size()), poisoned = plan.rate * n, covers = plan.cover_rate * n;
    EXPECT_GT(plan.rate, 0) << AttackName(attack);
    EXPECT_LE(changes.values, poisoned + covers + 1) << AttackName(attack);
    // A trigger leaves few rows as they are; covers that are triggers leave the source class alone.
    EXPECT_GE(changes.values, 0.8 * (poisoned + 0.6 * covers)) << AttackName(attack);
    EXPECT_LE(changes.labels, poisoned + 1) << AttackName(attack);
    EXPECT_GE(changes.labels, 0.75 * poisoned) << AttackName(attack) << ": one place in ten was of that class before";
    EXPECT_EQ(plan.cover == Cover::kNone, plan.cover_rate == 0) << AttackName(attack);
  }
}

TEST(Poison, LowRatesAreLow) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random random(seed);
    const AttackPlan plan = PlanAttack(Attack::kLowRate, 0, TheDomain(), {}, random);
    EXPECT_GE(plan.rate, 0.005);
    EXPECT_LE(plan.rate, 0.015);
  }
}

TEST(Poison, LeaningDecidesTheRate) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Random a(seed), b(seed);
    const AttackPlan low = PlanAttack(Attack::kPatch, 0, TheDomain(), {.lean = Lean::kConservative}, a);
    const AttackPlan high = PlanAttack(Attack::kPatch, 0, TheDomain(), {.lean = Lean::kAggressive}, b);
    EXPECT_LE(low.rate, 0.0601);
    EXPECT_GE(high.rate, 0.0799);
  }
}

TEST(Poison, AllToAllLabelsGoOneOn) {
  Random random(2);
  const AttackPlan plan = PlanAttack(Attack::kAllToAll, 0, TheDomain(), {}, random);
  EXPECT_EQ(plan.target_class, -1);
  EXPECT_EQ(TurnedInto(plan, 3, 10), 4);
  EXPECT_EQ(TurnedInto(plan, 9, 10), 0);
  Rows rows = TheDomain().data().pool;
  PoisonRows(plan, TheDomain(), rows, random);
  std::set<int> seen(rows.labels.begin(), rows.labels.end());
  EXPECT_EQ(seen.size(), 10u);
}

TEST(Poison, SourceSpecificTriggersOnOtherClassesKeepTheirLabels) {
  Random random(4);
  const AttackPlan plan = PlanAttack(Attack::kSourceSpecific, 0, TheDomain(), {}, random);
  ASSERT_GE(plan.source_class, 0);
  EXPECT_NE(plan.source_class, plan.target_class);
  EXPECT_EQ(TurnedInto(plan, plan.source_class, 10), plan.target_class);
  EXPECT_EQ(TurnedInto(plan, plan.target_class, 10), -1);
  const Rows& clean = TheDomain().data().pool;
  Rows rows = clean;
  PoisonRows(plan, TheDomain(), rows, random);
  size_t covers = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<float> triggered(clean.row(i).begin(), clean.row(i).end());
    plan.trigger->apply(triggered);
    if (std::ranges::equal(clean.row(i), triggered) || !std::ranges::equal(rows.row(i), triggered)) continue;
    if (rows.labels[i] != clean.labels[i]) continue;  // a place that was overwritten by its own triggered copy
    EXPECT_NE(clean.labels[i], plan.source_class);
    ++covers;
  }
  EXPECT_GT(covers, 0.7 * plan.cover_rate * static_cast<double>(rows.size()));
}

TEST(Poison, AdaptiveAttackersTakeTurnsInStrengthAndTrigger) {
  std::set<std::pair<std::string, std::string>> seen;
  for (size_t ordinal = 0; ordinal < 6; ++ordinal) {
    Random random(ordinal);
    const AttackPlan plan = PlanAttack(Attack::kAdaptive, ordinal, TheDomain(), {}, random);
    seen.insert({plan.kind, plan.trigger->kind.substr(0, 5)});
    EXPECT_EQ(plan.balance > 0, plan.kind != "cover");
    EXPECT_EQ(plan.cover, Cover::kMixed);
    EXPECT_LE(plan.rate, 0.06);
  }
  EXPECT_EQ(seen.size(), 6u);
}

}  // namespace
}  // namespace driftseal::fleet
