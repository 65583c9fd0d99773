#include "kernels/ensemble/ensemble.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace driftseal::kernels::ensemble {
namespace {

struct Models {
  autoencoder::Network network{{{2, 1, autoencoder::Activation::kTanh, {1, -1}, {0}},
                                {1, 2, autoencoder::Activation::kIdentity, {1, 1}, {0, 0}}}};
  forest::Forest forest{{{0, 0.1f, 1, 2, 0}, {-1, 0, -1, -1, 1}, {-1, 0, -1, -1, 2}}, {0}, 2};
  svm::Svm svm{2, {0, 0}, {1}, 1, 0.5};
  mahalanobis::Mahalanobis mahalanobis{{0, 0}, 1, {}, {}};
  neighbours::Neighbours neighbours{2, {0, 0, 3, 4}, 2, neighbours::Distance::kMean};
  Members All() const { return {&network, &forest, &svm, &mahalanobis, &neighbours}; }
};

struct Result {
  std::array<std::vector<double>, kMembers> scores;
};

Result Score(const Members& members, const std::vector<double>& rows) {
  const size_t n = rows.size() / 2;
  Result result;
  Scores out;
  for (size_t m = 0; m < kMembers; ++m) {
    result.scores[m].assign(n, -99);
    out[m] = result.scores[m];
  }
  std::vector<double> scratch(ScratchSize(members));
  std::vector<float> narrow(rows.size());
  ScoreReference(members, {rows.data(), n, 2}, {scratch, narrow}, out);
  return result;
}

TEST(Ensemble, EqualsItsMembersAlone) {
  const Models models;
  const std::vector<double> rows = {0, 0, 0.1, 2, -5, 1, 3, 4, 0.2, -0.3};
  const Result result = Score(models.All(), rows);
  const RowsView<double> view{rows.data(), 5, 2};
  std::vector<double> alone(5), scratch(8);
  autoencoder::ScoreReference(models.network, view, scratch, alone);
  EXPECT_EQ(result.scores[kAutoencoder], alone);
  svm::ScoreReference(models.svm, view, alone);
  EXPECT_EQ(result.scores[kSvm], alone);
  mahalanobis::ScoreReference(models.mahalanobis, view, alone);
  EXPECT_EQ(result.scores[kMahalanobis], alone);
  neighbours::ScoreReference(models.neighbours, view, scratch, alone);
  EXPECT_EQ(result.scores[kNeighbours], alone);
  const std::vector<float> narrow(rows.begin(), rows.end());
  forest::ScoreReference(models.forest, {narrow.data(), 5, 2}, alone);
  EXPECT_EQ(result.scores[kForest], alone);
}

TEST(Ensemble, ForestSeesTheNearestFloat) {
  // As doubles 0.1 < 0.1f, and the double just above 0.1f still rounds to it: both go left. Two float steps above:
  // right.
  const Models models;
  const double above = std::nextafter(static_cast<double>(0.1f), 1.0);
  const auto scores = Score(models.All(), {0.1, 0, above, 0, 0.1 + 3e-8, 0}).scores[kForest];
  EXPECT_EQ(scores[0], 0.5);
  EXPECT_EQ(scores[1], 0.5);
  EXPECT_EQ(scores[2], 0.25);
}

TEST(Ensemble, LeavesAbsentMembersAlone) {
  const Models models;
  Members members;
  members.svm = &models.svm;
  const Result result = Score(members, {0, 0});
  EXPECT_EQ(result.scores[kSvm][0], -0.5);
  for (size_t m : {kAutoencoder, kForest, kMahalanobis, kNeighbours}) EXPECT_EQ(result.scores[m][0], -99);
}

TEST(Ensemble, NoRows) { EXPECT_TRUE(Score(Models().All(), {}).scores[kForest].empty()); }

TEST(Ensemble, NarrowSaturates) {
  constexpr float kMost = std::numeric_limits<float>::max();
  EXPECT_EQ(Narrow(1e300), kMost);
  EXPECT_EQ(Narrow(-1e300), -kMost);
  EXPECT_TRUE(std::isnan(Narrow(std::nan(""))));
  EXPECT_EQ(Narrow(std::numeric_limits<double>::infinity()), std::numeric_limits<float>::infinity());
  EXPECT_EQ(Narrow(1e-320), 0.0f);
}

}  // namespace
}  // namespace driftseal::kernels::ensemble
