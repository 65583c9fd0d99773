#include <gmock/gmock.h>

#include <cmath>

#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/tree_features.h"
#include "fixtures.h"

namespace driftseal::fingerprint {
namespace {

using artifact::BoostedTree;
using artifact::Booster;
using testing::HasSubstr;

// A split at the root on `feature`, and two leaves.
BoostedTree Stump(int32_t feature, float threshold, float left, float right, float gain, float cover) {
  return {{1, -1, -1},     {2, -1, -1},
          {feature, 0, 0}, {threshold, left, right},
          {gain, 0, 0},    {cover, cover / 4, cover * 3 / 4},
          {1, 0, 0}};
}

// A stump on feature 0, a stump on feature 2 and a tree of depth 2 that splits on 0 and then, to the right, on 2.
Booster Small() {
  Booster booster;
  booster.objective = "binary:logistic";
  booster.features = 4;
  booster.base_score = 0.25;
  booster.trees.push_back(Stump(0, 1.0f, -0.5f, 0.5f, 8, 100));
  booster.trees.push_back(Stump(2, 3.0f, -0.25f, 0.75f, 4, 80));
  booster.trees.push_back({{1, -1, 3, -1, -1},
                           {2, -1, 4, -1, -1},
                           {0, 0, 2, 0, 0},
                           {2, 0.1f, 5, -0.2f, 0.3f},
                           {3, 0, 1, 0, 0},
                           {60, 20, 40, 30, 10},
                           {0, 0, 1, 0, 0}});
  booster.tree_class = {0, 0, 0};
  return booster;
}

Fingerprint Print(const Booster& booster, absl::Status* status = nullptr) {
  Row row(kColumns);
  const absl::Status result = FillTreeFeatures(booster, row);
  if (status != nullptr) *status = result;
  Fingerprint print;
  std::move(row).Finish(print);
  return print;
}

TEST(TreeFeatures, OfAForestWorkedOutByHand) {
  absl::Status status;
  const Fingerprint print = Print(Small(), &status);
  ASSERT_TRUE(status.ok()) << status;
  const auto near = [&](std::string_view name, double wanted) {
    EXPECT_NEAR(ValueOf(print, std::string("trees.").append(name)), wanted, 1e-6) << name;
  };
  near("count", 3);
  near("depth_mean", 4.0 / 3);
  near("depth_max", 2);
  near("leaves_mean", 7.0 / 3);
  // Leaves: -0.5, -0.25, -0.2, 0.1, 0.3, 0.5, 0.75.
  near("leaf_mean", 0.1);
  near("leaf_std", std::sqrt((0.36 + 0.1225 + 0.09 + 0 + 0.04 + 0.16 + 0.4225) / 7));
  near("leaf_q05", -0.5 + 0.3 * 0.25);
  near("leaf_q50", 0.1);
  near("leaf_q95", 0.5 + 0.7 * 0.25);
  near("leaf_abs_max", 0.75);
  near("leaf_last_first", 0.2 / 0.5);
  near("leaf_extreme_cover", 0.75);
  // Four splits, two on feature 0 and two on feature 2, of four features.
  near("split_entropy", std::log(2) / std::log(4));
  near("split_largest_share", 0.5);
  near("split_used_share", 0.5);
  near("default_left_share", 0.75);
  // Gains by feature: 11, 0, 5, 0.
  near("gain_top_share", 11.0 / 16);
  near("gain_gini", (-3.0 * 0 - 1 * 0 + 1 * 5 + 3 * 11) / (4 * 16));
  near("gain_q50", std::log1p(3.5));
  near("gain_q95", std::log1p(4 + 0.85 * 4));
  near("gain_max", std::log1p(8));
  near("root_gain_share", 15.0 / 16);
  near("base_score", 0.25);
  EXPECT_EQ(ReasonFor(print, "trees.threshold_spread"), "no feature has 4 different thresholds");
  EXPECT_EQ(ReasonFor(print, "trees.class_magnitude_z"), "fewer than 3 classes that differ");
}

TEST(TreeFeatures, ThresholdsAndClasses) {
  Booster booster;
  booster.features = 1;
  const float magnitudes[] = {1, 2, 3, 10};
  for (int t = 0; t < 4; ++t) {
    booster.trees.push_back(Stump(0, static_cast<float>(t * t), -magnitudes[t], magnitudes[t], 1, 10));
    booster.tree_class.push_back(t);
  }
  const Fingerprint print = Print(booster);
  // Thresholds 0, 1, 4, 9: q25 = 0.75, q75 = 5.25.
  EXPECT_NEAR(ValueOf(print, "trees.threshold_spread"), 0.5, 1e-6);
  // Median 2.5, MAD of {1.5, 0.5, 0.5, 7.5} is 1.
  EXPECT_NEAR(ValueOf(print, "trees.class_magnitude_z"), 7.5 / 1.4826, 1e-5);
  EXPECT_EQ(ReasonFor(print, "trees.split_entropy"), "the booster has only one feature");
}

TEST(TreeFeatures, WithoutGainsAndCovers) {
  Booster booster = Small();
  for (BoostedTree& tree : booster.trees) tree.gain.clear(), tree.cover.clear();
  const Fingerprint print = Print(booster);
  EXPECT_EQ(ReasonFor(print, "trees.gain_gini"), "the file has no gains");
  EXPECT_EQ(ReasonFor(print, "trees.leaf_extreme_cover"), "the file has no covers");
  EXPECT_NEAR(ValueOf(print, "trees.split_used_share"), 0.5, 1e-6);
}

TEST(TreeFeatures, OneLeafTreesHaveNoSplits) {
  Booster booster;
  booster.features = 3;
  booster.trees = {{{-1}, {-1}, {0}, {0.5f}, {0}, {10}, {0}}};
  const Fingerprint print = Print(booster);
  EXPECT_EQ(ValueOf(print, "trees.depth_max"), 0);
  EXPECT_EQ(ValueOf(print, "trees.leaf_mean"), 0.5f);
  EXPECT_EQ(ReasonFor(print, "trees.split_entropy"), "no tree has a split");
}

TEST(TreeFeatures, MalformedTreesAreErrors) {
  const auto error = [](const Booster& booster) {
    absl::Status status;
    const Fingerprint print = Print(booster, &status);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    for (size_t c = kTreesFirst; c < kColumns; ++c) EXPECT_TRUE(std::isnan(print.values[c]));
    return Message(status);
  };
  EXPECT_THAT(error({}), HasSubstr("at least one tree"));
  Booster cycle = Small();
  cycle.trees[2].right[2] = 0;
  EXPECT_THAT(error(cycle), HasSubstr("tree 2: expected every child to be a node of the tree, reached once"));
  Booster outside = Small();
  outside.trees[0].left[0] = 9;
  EXPECT_THAT(error(outside), HasSubstr("tree 0"));
  Booster negative = Small();
  negative.trees[0].right[0] = -7;
  EXPECT_THAT(error(negative), HasSubstr("tree 0"));
  Booster feature = Small();
  feature.trees[1].feature[0] = 4;
  EXPECT_THAT(error(feature), HasSubstr("a feature below 4 in node 0, found 4"));
  Booster nan = Small();
  nan.trees[0].value[1] = NAN;
  EXPECT_THAT(error(nan), HasSubstr("finite"));
  Booster gain = Small();
  gain.trees[0].gain[0] = INFINITY;
  EXPECT_THAT(error(gain), HasSubstr("finite gain"));
  Booster ragged = Small();
  ragged.trees[0].value.pop_back();
  EXPECT_THAT(error(ragged), HasSubstr("as many children"));
}

}  // namespace
}  // namespace driftseal::fingerprint
