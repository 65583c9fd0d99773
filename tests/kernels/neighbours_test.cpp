#include "kernels/neighbours/neighbours.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "fixture.h"
#include "parity/neighbours.h"
#include "simd_scorer.h"

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

class NeighboursSimd : public testing::TestWithParam<device::Isa> {};

parity::NeighboursScorer ScorerOf(TileKernel kernel) {
  // Most checks score several sets of rows with one model.
  auto last = std::make_shared<std::pair<Neighbours, Packed>>();
  return [kernel, last](const Neighbours& model, RowsView<float> rows) {
    auto& [packed_from, packed] = *last;
    if (packed_from.reference != model.reference || packed_from.cols != model.cols || packed_from.k != model.k ||
        packed_from.distance != model.distance) {
      packed_from = model;
      packed = Pack(model);
    }
    return ScoreTiles(
        NeighboursSimd::GetParam(), rows, WorkspaceSize(packed),
        [&](const auto& tile, auto workspace, float* out) { return kernel(packed, tile, workspace, out); });
  };
}

TEST_P(NeighboursSimd, AgreesWithTheReference) {
  ExpectParity(parity::CheckNeighbours(ScorerOf(SimdKernel(GetParam()))), 450);
}

TEST_P(NeighboursSimd, AgreesWithoutTheNewestInstructions) {
  ExpectParity(parity::CheckNeighbours(ScorerOf(PlainSimdKernel(GetParam()))), 450);
}

INSTANTIATE_TEST_SUITE_P(Isas, NeighboursSimd, testing::ValuesIn(device::SupportedIsas()), IsaName);

// Bytes where they filter well, so that the checks above are of both filters; never where they cannot.
TEST(NeighboursPack, ChoosesTheFilter) {
  Random random(1);
  EXPECT_TRUE(Pack(parity::RandomNeighbours(random, 4096, 32, 5, 0)).levels);
  EXPECT_TRUE(Pack(parity::RandomNeighbours(random, 1000, 32, 5, 1e4)).levels) << "the mean is taken off first";
  EXPECT_FALSE(Pack(parity::RandomNeighbours(random, 300, 1025, 5, 0)).levels) << "too coarse for so many columns";
  Neighbours model = parity::RandomNeighbours(random, 4096, 32, 5, 0);
  for (size_t i = 0; i < 32; ++i) model.reference[i] *= 1000;
  const Packed packed = Pack(model);
  EXPECT_TRUE(packed.levels) << "one row far out is set apart";
  EXPECT_LT(packed.regular, packed.rows);
}

// The shapes of frames that the checks above have to see: few axes, homes, neither.
TEST(NeighboursPack, FindsStructure) {
  Random random(1);
  const Packed normal = Pack(parity::RandomNeighbours(random, 4096, 32, 5, 0));
  ASSERT_EQ(normal.frames.size(), 1);
  EXPECT_EQ(normal.frames[0].quads, 8) << "every column says as much";
  EXPECT_EQ(normal.frames[0].rotation.size(), 0);
  const Packed flat = Pack(parity::FlatNeighbours(random, 900, 40, 5));
  ASSERT_EQ(flat.frames.size(), 1);
  EXPECT_LE(flat.frames[0].quads, 3) << "rows near a plane of five dimensions";
  EXPECT_TRUE(flat.frames[0].rest);
  const Packed apart = Pack(parity::ClusteredNeighbours(random, 2000, 24, 4));
  ASSERT_GT(apart.frames.size(), 2);
  size_t own = 0;
  for (size_t i = 1; i < apart.frames.size(); ++i) {
    EXPECT_EQ(apart.frames[i].segments.size(), apart.frames.size() - 2) << "every home reaches all others";
    own += apart.frames[i].own;
  }
  EXPECT_EQ(own, 2000);
}

}  // namespace
}  // namespace driftseal::kernels::neighbours
