#include "bench/fleet/shift.h"

#include <gmock/gmock.h>

#include <set>

#include "bench/fleet/domains.h"
#include "bench/fleet/fleet.h"

namespace driftseal::fleet {
namespace {

const std::vector<Knob> kKnobs = {
    {"epochs", true, false, 1, 30, {5, 5}, {5, 5}, {5, 5}},
    {"learning_rate", false, true, 1e-6, 1, {1e-3, 1e-3}, {1e-3, 1e-3}, {1e-3, 1e-3}},
    {"batch_size", true, false, 1, 4096, {64, 64}, {64, 64}, {64, 64}},
    {"width", true, false, 1, 100, {8, 8}, {8, 8}, {8, 8}},
    {"samples", true, false, 10, 3000, {1000, 1000}, {1000, 1000}, {1000, 1000}},
};

struct Shifted {
  Recipe recipe;
  Regime regime;
};

Shifted Apply(absl::string_view shift, uint64_t seed = 1) {
  Random random(seed);
  Shifted shifted{.recipe = DrawRecipe({}, kKnobs, random), .regime = {}};
  ApplyShift(shift, kKnobs, random, shifted.recipe, shifted.regime);
  return shifted;
}

TEST(Shift, EachChangesSomethingAndNoneNothing) {
  const Shifted none = Apply("none");
  EXPECT_EQ(none.recipe.Int("epochs"), 5);
  for (const std::string& name : ShiftNames()) {
    const Shifted shifted = Apply(name);
    const bool recipe = shifted.recipe.values != none.recipe.values;
    const Regime& regime = shifted.regime;
    const bool trained = !regime.optimizer.empty() || regime.weight_decay > 0 || regime.label_smoothing > 0 ||
                         regime.init_scale != 1 || regime.augment;
    EXPECT_EQ(recipe || trained, name != "none") << name;
  }
}

TEST(Shift, RecipesChangeAsTheyAreCalledAndStayWithinTheDomain) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const int epochs = Apply("long", seed).recipe.Int("epochs");
    EXPECT_TRUE(epochs >= 15 && epochs <= 20) << epochs;
    EXPECT_EQ(Apply("longer", seed).recipe.Int("epochs"), 30);
    EXPECT_GE(Apply("high-lr", seed).recipe.at("learning_rate"), 2e-3);
    EXPECT_LE(Apply("low-lr", seed).recipe.at("learning_rate"), 4e-4);
    EXPECT_EQ(Apply("small-batch", seed).recipe.Int("batch_size"), 16);
    EXPECT_EQ(Apply("large-batch", seed).recipe.Int("batch_size"), 256);
    EXPECT_GE(Apply("more-data", seed).recipe.Int("samples"), 1500);
    EXPECT_LE(Apply("less-data", seed).recipe.Int("samples"), 600);
    EXPECT_EQ(Apply("sgd", seed).regime.optimizer, "sgd");
  }
}

TEST(Shift, NamesAreCheckedAndMayNotRepeat) {
  EXPECT_EQ(ParseNames("none,long", ShiftNames(), "--shift")->size(), 2u);
  for (const char* text : {"", "longest", "long,long", "none;long"}) {
    EXPECT_EQ(ParseNames(text, ShiftNames(), "--shift").status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Shift, TreesRefuseWhatOnlyNetworksHave) {
  const auto trees = MakeFraudXgb({}), network = MakeFraudMlp({});
  ASSERT_TRUE(trees.ok() && network.ok());
  EXPECT_FALSE(CheckShift("sgd", **trees).ok());
  EXPECT_TRUE(CheckShift("long", **trees).ok());
  EXPECT_TRUE(CheckShift("sgd", **network).ok());
  EXPECT_FALSE(CheckVariant("pruned", **trees).ok());
  EXPECT_TRUE(CheckVariant("int8", **trees).ok());
  EXPECT_TRUE(CheckVariant("distilled", **network).ok());
  EXPECT_FALSE(CheckAttack(Attack::kAdaptive, **trees).ok());
  EXPECT_FALSE(CheckAttack(Attack::kWarp, **network).ok());
  EXPECT_TRUE(CheckAttack(Attack::kDynamic, **trees).ok());
}

TEST(Shift, EveryKindOfModelGoesThroughAllShiftsAndVariants) {
  const auto domain = MakeFraudMlp({});
  ASSERT_TRUE(domain.ok());
  FleetOptions options;
  options.poison = *ParsePoison("none:12,patch:12", 0);
  options.shifts = {"none", "long", "sgd"};
  options.variants = {"none", "pruned"};
  std::map<std::tuple<Attack, std::string, std::string>, std::set<size_t>> seen;
  for (const Job& job : PlanJobs(**domain, options)) seen[{job.attack, job.shift, job.variant}].insert(job.ordinal);
  EXPECT_EQ(seen.size(), 12u);
  for (const auto& [key, ordinals] : seen) EXPECT_THAT(ordinals, testing::ElementsAre(0, 1));
}

TEST(Variant, PlansAreWhatTheirNamesSay) {
  Random random(1);
  const Recipe recipe = DrawRecipe({}, kKnobs, random);
  for (int i = 0; i < 20; ++i) {
    const VariantPlan tuned = PlanVariant("fine-tuned", recipe, random), pruned = PlanVariant("pruned", recipe, random);
    EXPECT_TRUE(tuned.epochs >= 1 && tuned.epochs <= 3 && tuned.rate < 0.31 && tuned.change.empty());
    EXPECT_TRUE(pruned.amount >= 0.2 && pruned.amount <= 0.4 && pruned.epochs == 1 && pruned.change == "prune");
  }
  EXPECT_EQ(PlanVariant("pruned-raw", recipe, random).epochs, 0);
  EXPECT_EQ(PlanVariant("none", recipe, random).change, "");
  EXPECT_TRUE(PlanVariant("distilled", recipe, random).distilled);
}

}  // namespace
}  // namespace driftseal::fleet
