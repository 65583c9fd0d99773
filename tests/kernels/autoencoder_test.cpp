#include "kernels/autoencoder/autoencoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "fixture.h"
#include "parity/autoencoder.h"
#include "simd_scorer.h"

namespace driftseal::kernels::autoencoder {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();

std::vector<double> Score(const Network& network, const std::vector<double>& rows) {
  const size_t cols = network.layers.front().inputs;
  std::vector<double> out(rows.size() / cols), scratch(ScratchSize(network), kNan);
  ScoreReference(network, {rows.data(), out.size(), cols}, scratch, out);
  return out;
}

struct Case {
  const char* name;
  Activation activation;
};

class AutoencoderAgainstSklearn : public testing::TestWithParam<Case> {};

TEST_P(AutoencoderAgainstSklearn, ScoresAgree) {
  const Fixture fixture;
  const std::string prefix = std::string("mlp.") + GetParam().name;
  Network network;
  for (size_t l = 0; l < 4; ++l) {
    const Array& weight = fixture[prefix + "." + std::to_string(l) + ".weight"];
    network.layers.push_back({weight.cols, weight.rows, l < 3 ? GetParam().activation : Activation::kIdentity,
                              weight.values, fixture[prefix + "." + std::to_string(l) + ".bias"].values});
  }
  const auto scores = Score(network, fixture["test"].values);
  for (size_t i = 0; i < scores.size(); ++i) {
    const double expected = fixture[prefix + ".score"].values[i];
    EXPECT_NEAR(scores[i], expected, 1e-12 * (1 + expected)) << "row " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Activations, AutoencoderAgainstSklearn,
                         testing::Values(Case{"identity", Activation::kIdentity}, Case{"relu", Activation::kRelu},
                                         Case{"tanh", Activation::kTanh}, Case{"logistic", Activation::kLogistic}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Autoencoder, OneLayerOfIdentityReconstructsExactly) {
  const Network network{{{2, 2, Activation::kIdentity, {1, 0, 0, 1}, {0, 0}}}};
  for (double score : Score(network, {1, 2, -3, 1e-310, 1e150, -1e150})) EXPECT_EQ(score, 0);
}

TEST(Autoencoder, ScoreIsTheMeanSquaredError) {
  const Network network{{{2, 1, Activation::kRelu, {1, 1}, {-1}}, {1, 2, Activation::kIdentity, {2, 0}, {0, 5}}}};
  const auto scores = Score(network, {1, 1, -4, 1});
  EXPECT_DOUBLE_EQ(scores[0], ((1 - 2) * (1 - 2) + (1 - 5) * (1 - 5)) / 2.0);
  EXPECT_DOUBLE_EQ(scores[1], (16 + (1 - 5) * (1 - 5)) / 2.0);  // relu(−4) = 0
}

TEST(Autoencoder, RowsThatAreNotFiniteScoreNanAndOverflowScoresInfinity) {
  const Network network{{{2, 2, Activation::kIdentity, {1e200, 0, 0, 1}, {0, 0}}}};
  for (double score : Score(network, {kNan, 0, 0, kInf, -kInf, 1})) EXPECT_TRUE(std::isnan(score));
  EXPECT_EQ(Score(network, {1e200, 0})[0], kInf);
}

TEST(Autoencoder, NoRows) {
  const Network network{{{2, 2, Activation::kIdentity, {1, 0, 0, 1}, {0, 0}}}};
  std::vector<double> scratch(ScratchSize(network));
  ScoreReference(network, {nullptr, 0, 2}, scratch, {});
}

class AutoencoderSimd : public testing::TestWithParam<device::Isa> {};

TEST_P(AutoencoderSimd, AgreesWithTheReference) {
  const auto score = [&](const Network& network, RowsView<float> rows) {
    const Packed packed = Pack(network);
    return ScoreTiles(GetParam(), rows, WorkspaceSize(packed), [&](const auto& tile, auto workspace, float* out) {
      return SimdKernel(GetParam())(packed, tile, workspace, out);
    });
  };
  ExpectParity(parity::CheckAutoencoder(score), 10000);
}

// Bit for bit: what is not rounded anywhere is not lost anywhere.
TEST_P(AutoencoderSimd, ACopyScoresZero) {
  const Network network{{{2, 2, Activation::kIdentity, {1, 0, 0, 1}, {0, 0}}}};
  const Packed packed = Pack(network);
  const std::vector<float> rows = {1, 2, -3, 1e-40F, 3e38F, -1e30F};
  for (float score : ScoreTiles(GetParam(), {rows.data(), 3, 2}, WorkspaceSize(packed),
                                [&](const auto&tile, auto workspace, float*out) {
                                  return SimdKernel(GetParam())(packed, tile, workspace, out);
                                })) {
    EXPECT_EQ(score, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, AutoencoderSimd, testing::ValuesIn(device::SupportedIsas()), IsaName);

}  // namespace
}  // namespace driftseal::kernels::autoencoder
