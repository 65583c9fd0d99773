#include "engine/detector/shrinkage.h"

#include <gtest/gtest.h>

#include "fixture.h"

namespace driftseal::detector {
namespace {

void ExpectSklearnsScores(const std::string& fit, const std::string& scores) {
  const kernels::Fixture fixture;
  const auto model = FitMahalanobis(fixture[fit].View());
  const auto& test = fixture["test"];
  std::vector<double> out(test.rows);
  kernels::mahalanobis::ScoreReference(model, test.View(), out);
  for (size_t i = 0; i < out.size(); ++i) {
    const double expected = fixture[scores].values[i];
    EXPECT_NEAR(out[i], expected, 1e-9 * (1 + expected)) << "row " << i;
  }
}

TEST(Shrinkage, IsSklearnsLedoitWolf) { ExpectSklearnsScores("fit", "ledoit_wolf.score"); }
TEST(Shrinkage, IsSklearnsLedoitWolfWithFewerRowsThanColumns) {
  ExpectSklearnsScores("wide", "ledoit_wolf_wide.score");
}

TEST(Shrinkage, EqualRowsGiveTheEuclideanDistance) {
  const std::vector<double> rows = {1, 2, 1, 2, 1, 2};
  const auto model = FitMahalanobis({rows.data(), 3, 2});
  const std::vector<double> far = {4, 6};
  double score = 0;
  kernels::mahalanobis::ScoreReference(model, {far.data(), 1, 2}, {&score, 1});
  EXPECT_DOUBLE_EQ(score, 25);
}

TEST(Shrinkage, OneColumnAndTwoRows) {
  const std::vector<double> rows = {0, 2};
  const auto model = FitMahalanobis({rows.data(), 2, 1});
  const std::vector<double> row = {3};
  double score = 0;
  kernels::mahalanobis::ScoreReference(model, {row.data(), 1, 1}, {&score, 1});
  EXPECT_NEAR(score, 4, 1e-12);  // variance 1 around 1; one column has nothing to shrink towards
}

}  // namespace
}  // namespace driftseal::detector
