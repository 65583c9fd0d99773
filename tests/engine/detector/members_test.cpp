#include "engine/detector/members.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "engine/detector/one_class_svm.h"
#include "fleet.h"

namespace driftseal::detector {
namespace {

std::vector<double> CleanRows(size_t n, size_t cols) {
  Fleet fleet(cols, 5);
  std::vector<double> rows;
  for (size_t i = 0; i < n; ++i) {
    const auto row = fleet.Row();
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

TEST(OneClassSvm, HasTheNuProperty) {
  constexpr size_t kRows = 200, kCols = 6;
  const auto rows = CleanRows(kRows, kCols);
  const auto svm = FitOneClassSvm({rows.data(), kRows, kCols});
  const double sum = std::accumulate(svm.alpha.begin(), svm.alpha.end(), 0.0);
  EXPECT_NEAR(sum, 0.1 * kRows, 1e-6);  // libsvm's Σα = ν·n
  std::vector<double> scores(kRows);
  kernels::svm::ScoreReference(svm, {rows.data(), kRows, kCols}, scores);
  const auto outside = std::count_if(scores.begin(), scores.end(), [](double s) { return s > 1e-4; });
  EXPECT_LE(outside, 20);            // at most ν of the rows are outside,
  EXPECT_GE(svm.alpha.size(), 20u);  // at least ν of them are support vectors,
  EXPECT_LT(svm.alpha.size(), kRows / 2);
  // and those with 0 < α < 1 lie on the boundary.
  std::vector<double> of_vectors(svm.alpha.size());
  kernels::svm::ScoreReference(svm, {svm.vectors.data(), svm.alpha.size(), kCols}, of_vectors);
  for (size_t i = 0; i < of_vectors.size(); ++i) {
    if (svm.alpha[i] > 1e-6 && svm.alpha[i] < 1 - 1e-6) {
      EXPECT_NEAR(of_vectors[i], 0, 1e-4);
    }
  }
}

/// Large families are fitted by another solver: where one takes over from the other, the models score alike.
TEST(OneClassSvm, BothSolversAgree) {
  constexpr size_t kRows = 1000, kCols = 6;
  auto rows = CleanRows(kRows, kCols);
  const auto small = FitOneClassSvm({rows.data(), kRows, kCols});
  for (size_t c = 0; c < kCols; ++c) rows.push_back(rows[(kRows - 1) * kCols + c]);  // one more, the last one again
  const auto large = FitOneClassSvm({rows.data(), kRows + 1, kCols});
  std::vector<double> a(kRows), b(kRows);
  kernels::svm::ScoreReference(small, {rows.data(), kRows, kCols}, a);
  kernels::svm::ScoreReference(large, {rows.data(), kRows, kCols}, b);
  EXPECT_NEAR(large.rho, small.rho, 0.1);  // Σα grew by 0.1, and with it any sum of kernels by up to that
  for (size_t i = 0; i < kRows; ++i) EXPECT_NEAR(a[i], b[i], 0.2);
  EXPECT_NEAR(std::accumulate(large.alpha.begin(), large.alpha.end(), 0.0), 0.1 * (kRows + 1), 1e-6);
}

TEST(OneClassSvm, EqualRows) {
  const std::vector<double> rows(20, 1.0);
  const auto svm = FitOneClassSvm({rows.data(), 10, 2});
  EXPECT_GT(svm.gamma, 0);
  EXPECT_TRUE(std::isfinite(svm.gamma));
  EXPECT_TRUE(std::isfinite(svm.rho));
}

TEST(Members, FitWhatWasChosen) {
  const auto rows = CleanRows(12, 3);
  const MemberSet members = FitMembers({rows.data(), 12, 3}, MemberChoice("00110"), 1);
  EXPECT_TRUE(members.forest && members.svm);
  EXPECT_FALSE(members.mahalanobis || members.neighbours || members.autoencoder);
  const RawScores raw = ScoreScaled(members, {rows.data(), 3});
  EXPECT_TRUE(std::isnan(raw[kernels::ensemble::kMahalanobis]));
  EXPECT_FALSE(std::isnan(raw[kernels::ensemble::kForest]));
}

TEST(Members, NeighboursOfVeryFewRows) {
  const auto rows = CleanRows(3, 2);
  EXPECT_EQ(FitMembers({rows.data(), 3, 2}, MemberChoice("10000"), 1).neighbours->k, 3u);
}

TEST(Members, FarRowsScoreHigherWithEveryMember) {
  const auto rows = CleanRows(100, 5);
  const MemberSet members = FitMembers({rows.data(), 100, 5}, MemberChoice("11110"), 1);
  const RawScores near = ScoreScaled(members, std::vector<double>{0, 0, 0, 0, 0});
  const RawScores far = ScoreScaled(members, std::vector<double>{15, -15, 15, -15, 15});
  for (size_t m = 1; m < near.size(); ++m) EXPECT_GT(far[m], near[m]) << kMemberNames[m];
}

}  // namespace
}  // namespace driftseal::detector
