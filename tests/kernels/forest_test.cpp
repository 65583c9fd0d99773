#include "kernels/forest/forest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "fixture.h"
#include "kernels/random.h"
#include "parity/forest.h"
#include "simd_scorer.h"

namespace driftseal::kernels::forest {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInf = std::numeric_limits<float>::infinity();

Forest FromFixture(const Fixture& fixture, const std::string& name) {
  const auto feature = fixture[name + ".feature"].As<int32_t>();
  const auto threshold = fixture[name + ".threshold"].As<float>();
  const auto left = fixture[name + ".left"].As<int32_t>(), right = fixture[name + ".right"].As<int32_t>();
  const auto path = fixture[name + ".path"].As<float>();
  Forest forest;
  for (size_t i = 0; i < feature.size(); ++i) {
    forest.nodes.push_back({feature[i], threshold[i], left[i], right[i], path[i]});
  }
  forest.roots = fixture[name + ".roots"].As<uint32_t>();
  forest.sample_size = fixture[name + ".sample_size"].As<uint32_t>()[0];
  return forest;
}

std::vector<double> Score(const Forest& forest, const std::vector<float>& rows, size_t cols) {
  std::vector<double> out(rows.size() / cols);
  ScoreReference(forest, {rows.data(), out.size(), cols}, out);
  return out;
}

/// x0 <= 1 ? path 1 : (x1 <= -2 ? path 2 : path 3), on ψ = 2, so that c(ψ) = 1.
Forest SmallTree() {
  return {
      {{0, 1.0f, 1, 2, 0}, {-1, 0, -1, -1, 1}, {1, -2.0f, 3, 4, 0}, {-1, 0, -1, -1, 2}, {-1, 0, -1, -1, 3}}, {0}, 2};
}

std::vector<float> RandomRows(size_t rows, size_t cols, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(rows * cols);
  for (float& value : values) value = static_cast<float>(random.Uniform());
  return values;
}

class ForestAgainstSklearn : public testing::TestWithParam<std::string> {};

TEST_P(ForestAgainstSklearn, ScoresAgree) {
  const Fixture fixture;
  const Array& test = fixture["test"];
  const auto scores = Score(FromFixture(fixture, GetParam()), test.As<float>(), test.cols);
  for (size_t i = 0; i < scores.size(); ++i) {
    // A path counts in whole 2⁻¹⁶, which moves a score by less than 1e-6.
    EXPECT_NEAR(scores[i], fixture[GetParam() + ".score"].values[i], 1e-6) << "row " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ForestAgainstSklearn, testing::Values("forest", "forest_subset"));

TEST(Forest, MeanPathHasSklearnsSpecialCases) {
  EXPECT_EQ(MeanPath(0), 0);
  EXPECT_EQ(MeanPath(1), 0);
  EXPECT_EQ(MeanPath(2), 1);
  EXPECT_NEAR(MeanPath(5), 2.327020052042847, 1e-12);  // sklearn.ensemble._iforest._average_path_length
  EXPECT_NEAR(MeanPath(999), 12.967939884427995, 1e-12);
}

TEST(Forest, ThresholdsBelongToTheLeft) {
  const auto scores = Score(SmallTree(), {1, 0, std::nextafter(1.0f, 2.0f), -2, 5, -1.5f}, 2);
  EXPECT_DOUBLE_EQ(scores[0], 0.5);
  EXPECT_DOUBLE_EQ(scores[1], 0.25);
  EXPECT_DOUBLE_EQ(scores[2], 0.125);
}

TEST(Forest, NanGoesRightAndInfinitiesCompare) {
  const auto scores = Score(SmallTree(), {kNan, -9, kNan, kNan, -kInf, kNan, kInf, -kInf, kInf, kInf}, 2);
  EXPECT_DOUBLE_EQ(scores[0], 0.25);   // right, left
  EXPECT_DOUBLE_EQ(scores[1], 0.125);  // right, right
  EXPECT_DOUBLE_EQ(scores[2], 0.5);
  EXPECT_DOUBLE_EQ(scores[3], 0.25);
  EXPECT_DOUBLE_EQ(scores[4], 0.125);
}

TEST(Forest, DenormalsAreNotZero) {
  Forest forest = SmallTree();
  forest.nodes[0].threshold = 0;
  const float denormal = std::numeric_limits<float>::denorm_min();
  const auto scores = Score(forest, {denormal, 0, -denormal, 0}, 2);
  EXPECT_DOUBLE_EQ(scores[0], 0.125);
  EXPECT_DOUBLE_EQ(scores[1], 0.5);
}

TEST(Forest, OneLeafTreesAndNoRows) {
  const Forest leaf{{{-1, 0, -1, -1, 1}}, {0, 0, 0}, 2};
  EXPECT_DOUBLE_EQ(Score(leaf, {7, kNan}, 2)[0], 0.5);
  ScoreReference(leaf, {nullptr, 0, 2}, {});
  const Forest single{{{-1, 0, -1, -1, 0}}, {0}, 1};  // c(1) = 0
  EXPECT_DOUBLE_EQ(Score(single, {7}, 1)[0], 0.5);
}

class ForestFit : public testing::TestWithParam<size_t> {};

/// Every leaf's path is its depth + c(rows that end in it), and the leaves of a tree hold ψ rows.
TEST_P(ForestFit, TreesIsolateTheirRows) {
  const size_t rows = GetParam(), cols = 3;
  const auto values = RandomRows(rows, cols, rows);
  const Forest forest = Fit({values.data(), rows, cols}, {.trees = 10, .sample_size = 64, .seed = 5});
  ASSERT_EQ(forest.roots.size(), 10u);
  EXPECT_EQ(forest.sample_size, std::min<size_t>(64, rows));
  const double limit = std::ceil(std::log2(forest.sample_size));
  size_t leaves = 0;
  for (size_t i = 0; i < forest.nodes.size(); ++i) {
    const Node& node = forest.nodes[i];
    if (node.feature < 0) {
      ++leaves;
      EXPECT_GE(node.path, 0);
      EXPECT_LE(node.path, limit + MeanPath(forest.sample_size));
    } else {
      EXPECT_GT(node.left, static_cast<int32_t>(i));
      EXPECT_GT(node.right, static_cast<int32_t>(i));
    }
  }
  EXPECT_EQ(forest.nodes.size(), 2 * leaves - forest.roots.size());
}

INSTANTIATE_TEST_SUITE_P(Rows, ForestFit, testing::Values(2, 3, 63, 64, 65, 257));

TEST(Forest, FitDependsOnTheSeedAlone) {
  const auto values = RandomRows(100, 4, 1);
  const auto fit = [&](uint64_t seed) {
    return Fit({values.data(), 100, 4}, {.trees = 5, .sample_size = 50, .seed = seed});
  };
  const Forest a = fit(1), b = fit(1), c = fit(2);
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  bool same_as_c = a.nodes.size() == c.nodes.size();
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    EXPECT_EQ(a.nodes[i].feature, b.nodes[i].feature);
    EXPECT_EQ(a.nodes[i].threshold, b.nodes[i].threshold);
    same_as_c = same_as_c && a.nodes[i].threshold == c.nodes[i].threshold;
  }
  EXPECT_FALSE(same_as_c);
}

TEST(Forest, FitDoesNotDependOnTheThreads) {
  const auto values = RandomRows(3000, 7, 4);
  const auto fit = [&](size_t threads) {
    return Fit({values.data(), 3000, 7}, {.trees = 37, .sample_size = 100, .seed = 3, .threads = threads});
  };
  const Forest one = fit(1);
  for (size_t threads : {0u, 2u, 3u, 36u, 37u, 100u}) {
    const Forest other = fit(threads);
    EXPECT_EQ(one.roots, other.roots);
    ASSERT_EQ(one.nodes.size(), other.nodes.size());
    for (size_t i = 0; i < one.nodes.size(); ++i) {
      EXPECT_EQ(one.nodes[i].feature, other.nodes[i].feature);
      EXPECT_EQ(one.nodes[i].threshold, other.nodes[i].threshold);
      EXPECT_EQ(one.nodes[i].left, other.nodes[i].left);
      EXPECT_EQ(one.nodes[i].right, other.nodes[i].right);
      EXPECT_EQ(one.nodes[i].path, other.nodes[i].path);
    }
  }
}

/// With ψ = 2 of n rows the root's threshold lies between the two: every pair is drawn, and none is a row with itself.
TEST(Forest, FitDrawsEveryPairOfRowsAlike) {
  constexpr size_t kRows = 5;
  constexpr uint32_t kTrees = 20000;
  const std::vector<float> values = {0, 1, 3, 7, 15};
  const Forest forest = Fit({values.data(), kRows, 1}, {.trees = kTrees, .sample_size = 2, .seed = 8});
  ASSERT_EQ(forest.nodes.size(), 3 * kTrees) << "a row drawn twice could not be split";
  double above_seven = 0;  // thresholds in [7, 15) come of pairs with the last row
  for (uint32_t root : forest.roots) above_seven += forest.nodes[root].threshold >= 7;
  // Of 10 pairs 4 hold it; a uniform cut falls above 7 with 8/15, 8/14, 8/12 and 1.
  const double expected = 0.1 * (8.0 / 15 + 8.0 / 14 + 8.0 / 12 + 1);
  EXPECT_NEAR(above_seven / kTrees, expected, 5 * std::sqrt(expected * (1 - expected) / kTrees));
}

TEST(Forest, DuplicatedRowsStayTogether) {
  const std::vector<float> values(40, 3.5f);
  const Forest forest = Fit({values.data(), 20, 2}, {.trees = 3, .sample_size = 256, .seed = 1});
  ASSERT_EQ(forest.nodes.size(), 3u);
  EXPECT_FLOAT_EQ(forest.nodes[0].path, static_cast<float>(MeanPath(20)));
  EXPECT_NEAR(Score(forest, {3.5f, 3.5f}, 2)[0], 0.5, 1e-7);  // a path is a float
}

TEST(Forest, SplitsValuesThatLieOneUlpApart) {
  const float low = 1, high = std::nextafter(1.0f, 2.0f);
  const std::vector<float> values = {low, high};
  const Forest forest = Fit({values.data(), 2, 1}, {.trees = 50, .sample_size = 2, .seed = 1});
  for (uint32_t root : forest.roots) EXPECT_EQ(forest.nodes[root].threshold, low);
}

TEST(Forest, SplitsTheWholeRangeOfFloat) {
  const float most = std::numeric_limits<float>::max();
  const std::vector<float> values = {-most, most};
  const Forest forest = Fit({values.data(), 2, 1}, {.trees = 50, .sample_size = 2, .seed = 1});
  for (uint32_t root : forest.roots) EXPECT_TRUE(std::isfinite(forest.nodes[root].threshold));
}

/// Trees are random, and 400 of them agree with 400 of scikit-learn's.
TEST(Forest, FitRanksAsSklearnDoes) {
  const Fixture fixture;
  const Array& fit = fixture["fit"];
  const Array& test = fixture["test"];
  const auto rows = fit.As<float>();
  const Forest forest = Fit({rows.data(), fit.rows, fit.cols}, {.trees = 400, .sample_size = 64, .seed = 9});
  const auto ours = Score(forest, test.As<float>(), test.cols);
  const auto& theirs = fixture["forest_large.score"].values;
  double so = 0, st = 0, soo = 0, stt = 0, sot = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    so += ours[i], st += theirs[i], soo += ours[i] * ours[i], stt += theirs[i] * theirs[i], sot += ours[i] * theirs[i];
  }
  const double n = static_cast<double>(ours.size());
  EXPECT_GT((n * sot - so * st) / std::sqrt((n * soo - so * so) * (n * stt - st * st)), 0.99);
}

class ForestSimd : public testing::TestWithParam<std::tuple<device::Isa, Strategy>> {};

TEST_P(ForestSimd, AgreesWithTheReference) {
  const auto& [isa, strategy] = GetParam();
  const Forest* packed_forest = nullptr;
  Packed packed;
  const auto score = [&](const Forest& forest, RowsView<float> rows) {
    if (packed_forest != &forest) {  // The checks score each forest on many sets of rows.
      EXPECT_EQ(WhyUnfit(forest), std::nullopt);
      packed = Pack(forest, strategy);
      packed_forest = &forest;
    }
    parity::ForestScores scores;
    scores.scores = ScoreTiles(isa, rows, WorkspaceSize(packed), [&](const auto& tile, auto workspace, float* out) {
      scores.path_sums.resize(scores.path_sums.size() + tile.rows);
      uint32_t* sums = scores.path_sums.data() + scores.path_sums.size() - tile.rows;
      EXPECT_EQ(SimdPathSums(isa)(packed, tile, workspace, sums), isa.target);
      return SimdKernel(isa)(packed, tile, workspace, out);
    });
    return scores;
  };
  ExpectParity(parity::CheckForest(score), 400);
}

std::string VariantName(const testing::TestParamInfo<ForestSimd::ParamType>& variant) {
  constexpr const char* kStrategies[] = {"Cheaper", "BitSliced", "Walk"};
  const auto& [isa, strategy] = variant.param;
  return std::string(isa.name) + kStrategies[static_cast<size_t>(strategy)];
}

INSTANTIATE_TEST_SUITE_P(Isas, ForestSimd,
                         testing::Combine(testing::ValuesIn(device::SupportedIsas()),
                                          testing::Values(Strategy::kCheaper, Strategy::kBitSliced, Strategy::kWalk)),
                         VariantName);

TEST(ForestPack, UsualTreesAreSlicedAndLargeOnesWalked) {
  Random random(1);
  EXPECT_TRUE(Pack(parity::RandomForest(random, 32, 20, 256)).bit_sliced);
  EXPECT_FALSE(Pack(parity::RandomForest(random, 32, 2, 65536)).bit_sliced);
}

TEST(ForestPack, SaysWhatItCannotTake) {
  const auto why = [](std::vector<Node> nodes, std::vector<uint32_t> roots) {
    return WhyUnfit({std::move(nodes), std::move(roots), 2}).value_or("");
  };
  const Node leaf{-1, 0, -1, -1, 1};
  EXPECT_EQ(why({leaf}, {0}), "");
  EXPECT_THAT(why({leaf}, {1}), testing::HasSubstr("root 1 is no node"));
  EXPECT_THAT(why({{0, kNan, 1, 2, 0}, leaf, leaf}, {0}), testing::HasSubstr("node 0: the threshold is NaN"));
  EXPECT_THAT(why({{0, 1, 1, 1, 0}, leaf}, {0}), testing::HasSubstr("node 1: has two parents"));
  EXPECT_THAT(why({{0, 1, 0, 1, 0}, leaf}, {0}), testing::HasSubstr("node 0: expected children behind it"));
  EXPECT_THAT(why({{-1, 0, -1, -1, -1}}, {0}), testing::HasSubstr("node 0: expected a path of 0 to 65,536"));
  EXPECT_THAT(why({{-1, 0, -1, -1, 40000}}, {0, 0}), testing::HasSubstr("longest paths sum to"));
}

}  // namespace
}  // namespace driftseal::kernels::forest
