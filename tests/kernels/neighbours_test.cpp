#include "kernels/neighbours/neighbours.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "fixture.h"

namespace driftseal::kernels::neighbours {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

std::vector<double> Score(const Neighbours& model, const std::vector<double>& rows) {
  std::vector<double> out(rows.size() / model.cols), scratch(ScratchSize(model), kNan);
  ScoreReference(model, {rows.data(), out.size(), model.cols}, scratch, out);
  return out;
}

TEST(Neighbours, AgreeWithSklearn) {
  const Fixture fixture;
  for (const auto& [name, distance] : {std::pair{"knn.mean", Distance::kMean}, std::pair{"knn.kth", Distance::kKth}}) {
    const auto scores = Score({fixture["fit"].cols, fixture["fit"].values, 4, distance}, fixture["test"].values);
    for (size_t i = 0; i < scores.size(); ++i) {
      // scikit-learn's trees and ours sum in another order; the last two rows are fitting rows, at distance 0 to
      // themselves
      EXPECT_NEAR(scores[i], fixture[name].values[i], 1e-12) << name << ", row " << i;
    }
  }
}

TEST(Neighbours, CountsDuplicatesAndItself) {
  const Neighbours model{1, {0, 0, 0, 10}, 3, Distance::kKth};
  EXPECT_EQ(Score(model, {0})[0], 0);
  EXPECT_EQ(Score({1, {0, 0, 0, 10}, 4, Distance::kKth}, {0})[0], 10);
  EXPECT_EQ(Score({1, {0, 0, 0, 10}, 4, Distance::kMean}, {0})[0], 2.5);
}

TEST(Neighbours, AnyOrderOfTheReference) {
  const std::vector<double> rows = {2.4};
  double expected = Score({1, {1, 2, 3, 4, 5}, 2, Distance::kMean}, rows)[0];
  EXPECT_NEAR(expected, 0.5, 1e-15);
  for (std::vector<double> reference : {std::vector<double>{5, 4, 3, 2, 1}, {3, 1, 5, 2, 4}, {2, 3, 1, 5, 4}}) {
    EXPECT_EQ(Score({1, reference, 2, Distance::kMean}, rows)[0], expected);
  }
}

TEST(Neighbours, RowsThatAreNotFiniteScoreNanAndOverflowScoresInfinity) {
  const Neighbours model{2, {0, 0, 1, 1}, 1, Distance::kMean};
  for (double score : Score(model, {kNan, 0, kInf, 0, 0, -kInf})) EXPECT_TRUE(std::isnan(score));
  EXPECT_EQ(Score(model, {1e300, 0})[0], kInf);
}

TEST(Neighbours, NoRows) {
  std::vector<double> scratch(1);
  ScoreReference({1, {0}, 1, Distance::kMean}, {nullptr, 0, 1}, scratch, {});
}

}  // namespace
}  // namespace driftseal::kernels::neighbours
