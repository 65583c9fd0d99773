#include "bench/fleet/recipe.h"

#include <gmock/gmock.h>

#include <set>

namespace driftseal::fleet {
namespace {

using testing::HasSubstr;

const std::vector<Knob> kKnobs = {
    {"epochs", true, false, 1, 100, {4, 4}, {3, 5}, {3, 8}},
    {"learning_rate", false, true, 1e-6, 1, {1e-3, 1e-3}, {5e-4, 2e-3}, {1e-4, 1e-2}},
    {"width", true, false, 1, 128, {8, 8}, {8, 8}, {0, 0, {8, 12}}},
};

TEST(Recipe, RefusesWhatItDoesNotUnderstand) {
  for (const char* text : {"epochs", "epochs=", "epochs=a", "epochs=5..3", "epochs=3..", "epochs=nan", "lr=1|x"}) {
    const auto spec = ParseRecipe(text);
    EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(spec.status().message()), HasSubstr("--recipe")) << text;
  }
}

TEST(Recipe, RangesAreCheckedAgainstTheDomain) {
  EXPECT_TRUE(CheckRecipe(*ParseRecipe("epochs=1..100,lr=0.5,width=4|8"), kKnobs, "d").ok());
  const absl::Status unknown = CheckRecipe(*ParseRecipe("momentum=0.9"), kKnobs, "d");
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("it has epochs, learning_rate, width"));
  for (const char* text : {"epochs=0..3", "epochs=3..101", "lr=0", "width=4|129"}) {
    EXPECT_FALSE(CheckRecipe(*ParseRecipe(text), kKnobs, "d").ok()) << text;
  }
}

TEST(Recipe, DrawsFromTheGivenRanges) {
  const RecipeSpec spec = *ParseRecipe("wide,epochs=3..5,width=8|16");
  Random random(1);
  std::set<int> epochs, widths;
  double least = 1, most = 0;
  for (int i = 0; i < 500; ++i) {
    const Recipe recipe = DrawRecipe(spec, kKnobs, random);
    epochs.insert(recipe.Int("epochs"));
    widths.insert(recipe.Int("width"));
    least = std::min(least, recipe.at("learning_rate"));
    most = std::max(most, recipe.at("learning_rate"));
  }
  EXPECT_THAT(epochs, testing::ElementsAre(3, 4, 5));
  EXPECT_THAT(widths, testing::ElementsAre(8, 16));
  EXPECT_GE(least, 1e-4);
  EXPECT_LE(most, 1e-2);
  EXPECT_LT(least, 2e-4);  // the logarithm is uniform: both ends are reached
  EXPECT_GT(most, 5e-3);
}

TEST(Recipe, LeaningKeepsToAThirdOfEpochsAndLearningRate) {
  Random random(1);
  const RecipeSpec spec = *ParseRecipe("epochs=10..40,lr=0.001..0.004");
  for (int i = 0; i < 100; ++i) {
    const Recipe low = DrawRecipe(spec, kKnobs, random, Lean::kConservative);
    const Recipe high = DrawRecipe(spec, kKnobs, random, Lean::kAggressive);
    EXPECT_LE(low.Int("epochs"), 20);
    EXPECT_GE(high.Int("epochs"), 30);
    EXPECT_LE(low.at("learning_rate"), 0.002 + 1e-12);
    EXPECT_GE(high.at("learning_rate"), 0.003 - 1e-12);
  }
}

TEST(Recipe, PresetsDiffer) {
  Random random(1);
  const Recipe fixed = DrawRecipe(*ParseRecipe("fixed"), kKnobs, random);
  EXPECT_EQ(fixed.Int("epochs"), 4);
  EXPECT_EQ(fixed.at("learning_rate"), 1e-3);
  std::set<int> epochs;
  for (int i = 0; i < 200; ++i) epochs.insert(DrawRecipe(*ParseRecipe("wide"), kKnobs, random).Int("epochs"));
  EXPECT_EQ(*epochs.rbegin(), 8);
}

}  // namespace
}  // namespace driftseal::fleet
