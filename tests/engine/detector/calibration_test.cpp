#include "engine/detector/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/detector/statistics.h"
#include "kernels/random.h"

namespace driftseal::detector {
namespace {

std::vector<double> Ascending(size_t n) {
  std::vector<double> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = static_cast<double>(i + 1);
  return values;
}

TEST(Conformal, CountsScoresAtLeastAsHigh) {
  const std::vector<double> calibration = {1, 2, 2, 3};
  EXPECT_DOUBLE_EQ(ConformalP(calibration, 0), 1);
  EXPECT_DOUBLE_EQ(ConformalP(calibration, 1), 1);
  EXPECT_DOUBLE_EQ(ConformalP(calibration, 2), 4.0 / 5);  // ties count against the row
  EXPECT_DOUBLE_EQ(ConformalP(calibration, 2.5), 2.0 / 5);
  EXPECT_DOUBLE_EQ(ConformalP(calibration, 9), 1.0 / 5);
  EXPECT_DOUBLE_EQ(ConformalP({}, 9), 1);
}

TEST(Guarantee, NeedsTheNumbersOfTheFormula) {
  EXPECT_EQ(OrderStatisticGuarantee({}, 0.05, 0.05).needed, 59u);
  EXPECT_EQ(OrderStatisticGuarantee({}, 0.01, 0.05).needed, 299u);
  EXPECT_EQ(OrderStatisticGuarantee({}, 0.10, 0.10).needed, 22u);
}

TEST(Guarantee, BeginsExactlyWhereItIsPossible) {
  for (const auto& [alpha, n] : {std::pair{0.05, 59}, std::pair{0.01, 299}}) {
    const auto enough = Ascending(static_cast<size_t>(n)), few = Ascending(static_cast<size_t>(n - 1));
    EXPECT_FALSE(OrderStatisticGuarantee(few, alpha, 0.05).threshold);
    ASSERT_TRUE(OrderStatisticGuarantee(enough, alpha, 0.05).threshold);
    EXPECT_EQ(*OrderStatisticGuarantee(enough, alpha, 0.05).threshold, n);  // the largest score
  }
}

/// The rule itself, with factorials: the smallest k with Pr[Bin(n, 1−α) <= k−1] >= 1−δ.
size_t SmallestK(size_t n, double alpha, double delta) {
  double below = 0;
  for (size_t k = 1; k <= n; ++k) {
    const double j = static_cast<double>(k - 1), m = static_cast<double>(n);
    below += std::exp(std::lgamma(m + 1) - std::lgamma(j + 1) - std::lgamma(m - j + 1) + j * std::log(1 - alpha) +
                      (m - j) * std::log(alpha));
    if (below >= 1 - delta) return k;
  }
  return 0;
}

TEST(Guarantee, IsTheOrderStatisticOfTheRule) {
  for (size_t n : {1u, 22u, 58u, 59u, 60u, 92u, 93u, 100u, 300u, 473u, 1000u, 5000u}) {
    for (const auto& [alpha, delta] : {std::pair{0.05, 0.05}, std::pair{0.1, 0.01}, std::pair{0.01, 0.1}}) {
      const auto guarantee = OrderStatisticGuarantee(Ascending(n), alpha, delta);
      const size_t k = SmallestK(n, alpha, delta);
      EXPECT_EQ(guarantee.threshold.has_value(), k > 0) << n;
      EXPECT_EQ(guarantee.threshold.value_or(0), static_cast<double>(k)) << n << " " << alpha << " " << delta;
      EXPECT_EQ(guarantee.threshold.has_value(), n >= guarantee.needed) << n;
    }
  }
}

TEST(Guarantee, ManyScoresDoNotUnderflow) {
  const auto guarantee = OrderStatisticGuarantee(Ascending(200000), 0.05, 0.05);  // 0.95^200000 is 0 as a double
  ASSERT_TRUE(guarantee.threshold);
  EXPECT_GT(*guarantee.threshold, 190000);
  EXPECT_LT(*guarantee.threshold, 190400);  // 190,000 + 1.65 standard deviations of 97
}

TEST(Guarantee, RefusesLevelsThatAreNone) {
  for (const auto& [alpha, delta] : {std::pair{0.0, 0.05}, std::pair{1.0, 0.05}, std::pair{0.05, 0.0},
                                     std::pair{0.05, 1.0}, std::pair{std::nan(""), 0.05}, std::pair{-1.0, 0.5}}) {
    EXPECT_FALSE(OrderStatisticGuarantee(Ascending(100), alpha, delta).threshold);
  }
}

/// Over 4,000 deployments the share whose threshold lets more than α of clean scores pass is at most δ.
TEST(Guarantee, HoldsWithItsConfidence) {
  constexpr double kAlpha = 0.05, kDelta = 0.1;
  constexpr int kDeployments = 4000, kScores = 100;
  kernels::Random random(17);
  int broken = 0;
  for (int d = 0; d < kDeployments; ++d) {
    std::vector<double> scores(kScores);
    for (double& score : scores) score = random.Uniform();
    std::sort(scores.begin(), scores.end());
    broken += 1 - *OrderStatisticGuarantee(scores, kAlpha, kDelta).threshold > kAlpha;  // exceeded by 1 − t of U(0, 1)
  }
  const double sigma = std::sqrt(kDeployments * kDelta * (1 - kDelta));
  EXPECT_LT(broken, kDeployments * kDelta + 4 * sigma);
  EXPECT_GT(broken, 0);
}

TEST(Normaliser, PutsMedianAtZeroAndQ90AtOne) {
  const auto normaliser = FitNormaliser({5, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11});
  ASSERT_TRUE(normaliser);
  EXPECT_DOUBLE_EQ(normaliser->Apply(6), 0);
  EXPECT_DOUBLE_EQ(normaliser->Apply(10), 1);
}

TEST(Normaliser, SurvivesEqualScores) {
  std::vector<double> scores(20, 2.0);
  EXPECT_FALSE(FitNormaliser(scores));
  EXPECT_FALSE(FitNormaliser({}));
  EXPECT_FALSE(FitNormaliser({0, 0, 0}));
  scores.back() = 4;
  ASSERT_TRUE(FitNormaliser(scores));
  EXPECT_DOUBLE_EQ(FitNormaliser(scores)->Apply(4), 1);  // q90 is the median, so the largest score is at 1
  scores.back() = 2 + 1e-12;                             // rounding noise is no spread
  EXPECT_FALSE(FitNormaliser(scores));
}

TEST(Statistics, AreNumPys) {
  const std::vector<double> sorted = {1, 2, 4, 8};
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0), 1);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.5), 3);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 0.9), 6.8);
  EXPECT_DOUBLE_EQ(Quantile(sorted, 1), 8);
  EXPECT_DOUBLE_EQ(Median({8, 1, 4, 2}), 3);
  EXPECT_DOUBLE_EQ(MedianDeviation(sorted, 3), 1.5);
  EXPECT_DOUBLE_EQ(StandardDeviation(sorted), std::sqrt(28.75 / 3));
  EXPECT_EQ(StandardDeviation(std::vector<double>{3}), 0);
}

}  // namespace
}  // namespace driftseal::detector
