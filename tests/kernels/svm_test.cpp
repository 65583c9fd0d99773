#include "kernels/svm/svm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "fixture.h"
#include "parity/svm.h"
#include "simd_scorer.h"

namespace driftseal::kernels::svm {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

std::vector<double> Score(const Svm& svm, const std::vector<double>& rows) {
  std::vector<double> out(rows.size() / svm.cols);
  ScoreReference(svm, {rows.data(), out.size(), svm.cols}, out);
  return out;
}

TEST(Svm, AgreesWithSklearn) {
  const Fixture fixture;
  Svm svm;
  svm.cols = fixture["svm.vectors"].cols;
  svm.vectors = fixture["svm.vectors"].values;
  svm.alpha = fixture["svm.alpha"].values;
  svm.gamma = fixture["svm.gamma"].values[0];
  svm.rho = fixture["svm.rho"].values[0];
  double scale = 0;
  for (double alpha : svm.alpha) scale += std::abs(alpha);
  const auto scores = Score(svm, fixture["test"].values);
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_NEAR(scores[i], fixture["svm.score"].values[i], 1e-13 * scale) << "row " << i;
  }
}

TEST(Svm, IsTheSumOfItsKernels) {
  const Svm svm{2, {0, 0, 3, 4}, {0.5, 0.25}, 0.1, 0.6};
  const auto scores = Score(svm, {0, 0, 3, 4, 1, 1});
  EXPECT_DOUBLE_EQ(scores[0], 0.6 - (0.5 + 0.25 * std::exp(-2.5)));
  EXPECT_DOUBLE_EQ(scores[1], 0.6 - (0.5 * std::exp(-2.5) + 0.25));
  EXPECT_DOUBLE_EQ(scores[2], 0.6 - (0.5 * std::exp(-0.2) + 0.25 * std::exp(-1.3)));
}

TEST(Svm, FarRowsScoreRho) {
  const Svm svm{2, {0, 0, 3, 4}, {0.5, 0.25}, 0.1, 0.6};
  const auto scores = Score(svm, {1e6, 0, 1e300, -1e300});
  EXPECT_DOUBLE_EQ(scores[0], 0.6);
  EXPECT_DOUBLE_EQ(scores[1], 0.6);
}

TEST(Svm, RowsThatAreNotFiniteScoreNan) {
  const Svm svm{2, {0, 0}, {1}, 1, 0};
  for (double score : Score(svm, {kNan, 0, 0, kNan, kInf, 0, 0, -kInf})) EXPECT_TRUE(std::isnan(score));
  EXPECT_FALSE(std::isnan(Score(svm, {std::numeric_limits<double>::denorm_min(), 0})[0]));
}

TEST(Svm, NoRowsAndNoVectors) {
  ScoreReference({2, {0, 0}, {1}, 1, 0}, {nullptr, 0, 2}, {});
  EXPECT_EQ(Score({2, {}, {}, 1, 0.25}, {1, 2})[0], 0.25);
}

class SvmSimd : public testing::TestWithParam<device::Isa> {};

TEST_P(SvmSimd, AgreesWithTheReference) {
  const auto score = [&](const Svm& svm, RowsView<float> rows) {
    const Packed packed = Pack(svm);
    return ScoreTiles(GetParam(), rows, WorkspaceSize(packed), [&](const auto& tile, auto workspace, float* out) {
      return SimdKernel(GetParam())(packed, tile, workspace, out);
    });
  };
  ExpectParity(parity::CheckSvm(score), 300);
}

INSTANTIATE_TEST_SUITE_P(Isas, SvmSimd, testing::ValuesIn(device::SupportedIsas()), IsaName);

// Far from each other for their γ, vectors are compared by differences; otherwise by the faster inner product.
TEST(SvmPack, ChoosesByTheErrorBound) {
  Random random(1);
  EXPECT_FALSE(Pack(parity::RandomSvm(random, 50, 32, 1, 0)).differences);
  EXPECT_FALSE(Pack(parity::RandomSvm(random, 50, 32, 1, 1e4)).differences) << "the mean is taken off first";
  EXPECT_TRUE(Pack(parity::RandomSvm(random, 50, 32, 1000, 0)).differences);
}

}  // namespace
}  // namespace driftseal::kernels::svm
