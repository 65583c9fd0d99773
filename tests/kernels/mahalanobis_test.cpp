#include "kernels/mahalanobis/mahalanobis.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "parity/mahalanobis.h"
#include "simd_scorer.h"

namespace driftseal::kernels::mahalanobis {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

// Against scikit-learn's LedoitWolf: tests/engine/detector/shrinkage_test.cpp, which fits the same covariance.

/// P = [[2.5, 1.5], [1.5, 2.5]]: 1·I + 3·v vᵀ with v = (1, 1)/√2.
Mahalanobis Correlated() { return {{1, -1}, 1, {std::sqrt(0.5), std::sqrt(0.5)}, {3}}; }

std::vector<double> Score(const Mahalanobis& model, const std::vector<double>& rows) {
  std::vector<double> out(rows.size() / model.mean.size());
  ScoreReference(model, {rows.data(), out.size(), model.mean.size()}, out);
  return out;
}

TEST(Mahalanobis, IsTheQuadraticForm) {
  const auto scores = Score(Correlated(), {1, -1, 2, -1, 2, 0, 0, 1});
  EXPECT_EQ(scores[0], 0);
  EXPECT_NEAR(scores[1], 2.5, 1e-14);
  EXPECT_NEAR(scores[2], 2.5 + 2.5 + 2 * 1.5, 1e-14);
  EXPECT_NEAR(scores[3], 2.5 + 4 * 2.5 - 2 * 2 * 1.5, 1e-14);  // d = (−1, 2)
}

TEST(Mahalanobis, NeverNegativeThoughRoundingSaysSo) {
  // w = −c: nothing counts along v.
  const Mahalanobis model{{0, 0}, 1e6, {std::sqrt(0.5), std::sqrt(0.5)}, {-1e6}};
  for (double score : Score(model, {1, 1, 3, 3, 0.1, 0.1, 1e3, 1e3})) {
    EXPECT_GE(score, 0);
    EXPECT_LE(score, 1e-3);
  }
}

TEST(Mahalanobis, RowsThatAreNotFiniteScoreNanAndOverflowScoresInfinity) {
  for (double score : Score(Correlated(), {kNan, 0, 0, kInf, -kInf, kNan})) EXPECT_TRUE(std::isnan(score));
  EXPECT_EQ(Score(Correlated(), {1e300, 1e300})[0], kInf);
  const Mahalanobis shrunk{{0, 0}, 1, {1, 0}, {-0.5}};
  EXPECT_EQ(Score(shrunk, {1e300, 0})[0], kInf);
}

TEST(Mahalanobis, NoRowsAndNoDirections) {
  ScoreReference(Correlated(), {nullptr, 0, 2}, {});
  EXPECT_EQ(Score({{0, 0}, 2, {}, {}}, {3, 4})[0], 50);
}

TEST(Mahalanobis, ContributionsSumToTheScore) {
  const Mahalanobis model = Correlated();
  const std::vector<double> row = {4, -3};
  std::vector<double> parts(2);
  ContributionsReference(model, row.data(), parts);
  EXPECT_NEAR(parts[0], 3 * (2.5 * 3 + 1.5 * -2), 1e-13);
  EXPECT_NEAR(parts[1], -2 * (1.5 * 3 + 2.5 * -2), 1e-13);
  EXPECT_NEAR(std::accumulate(parts.begin(), parts.end(), 0.0), Score(model, row)[0], 1e-13);
}

class MahalanobisSimd : public testing::TestWithParam<device::Isa> {};

TEST_P(MahalanobisSimd, AgreesWithTheReference) {
  const auto score = [&](const Mahalanobis& model, RowsView<float> rows) {
    const Packed packed = Pack(model);
    return ScoreTiles(GetParam(), rows, WorkspaceSize(packed), [&](const auto& tile, auto workspace, float* out) {
      return SimdKernel(GetParam())(packed, tile, workspace, out);
    });
  };
  ExpectParity(parity::CheckMahalanobis(score, 1e-12), 350);
}

INSTANTIATE_TEST_SUITE_P(Isas, MahalanobisSimd, testing::ValuesIn(device::SupportedIsas()), IsaName);

}  // namespace
}  // namespace driftseal::kernels::mahalanobis
