#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/quantiles.h"
#include "engine/fingerprint/spectrum.h"
#include "engine/fingerprint/tensor_order.h"
#include "engine/fingerprint/tensor_sample.h"
#include "fixtures.h"

namespace driftseal::fingerprint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<float> Noise(size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random()) / 4294967296.0f - 0.5f;
  return values;
}

std::vector<std::string> OrderOf(const std::vector<std::string>& names) {
  artifact::TensorTable table;
  for (const std::string& name : names) table.tensors.push_back({name, artifact::DType::kF32, {2, 2}, {}, 0});
  std::vector<std::string> out;
  for (const auto* tensor : WeightMatrices(table)) out.push_back(tensor->name);
  return out;
}

TEST(TensorOrder, IsTheOrderOfTheLayers) {
  EXPECT_THAT(OrderOf({"fc10.weight", "fc2.weight", "conv1.weight", "fc1.weight"}),
              ElementsAre("conv1.weight", "fc1.weight", "fc2.weight", "fc10.weight"));
  // torchvision's AlexNet and ResNet, a transformer: alphabetical order would take another head.
  EXPECT_THAT(OrderOf({"classifier.6.weight", "classifier.1.weight", "features.10.weight", "features.3.weight"}),
              ElementsAre("features.3.weight", "features.10.weight", "classifier.1.weight", "classifier.6.weight"));
  EXPECT_THAT(OrderOf({"conv1.weight", "fc.weight", "layer1.0.conv1.weight", "layer4.1.conv2.weight"}),
              ElementsAre("conv1.weight", "layer1.0.conv1.weight", "layer4.1.conv2.weight", "fc.weight"));
  EXPECT_THAT(OrderOf({"lm_head.weight", "model.layers.11.mlp.down_proj.weight", "model.embed_tokens.weight",
                       "model.layers.2.output.dense.weight"}),
              ElementsAre("model.embed_tokens.weight", "model.layers.2.output.dense.weight",
                          "model.layers.11.mlp.down_proj.weight", "lm_head.weight"));
}

TEST(TensorOrder, NaturalLessIsAStrictOrder) {
  const std::vector<std::string> sorted = {"", "a", "a1", "a01", "a2", "a2b", "a10", "a10.1", "a18446744073709551617",
                                           "b"};
  for (size_t i = 0; i < sorted.size(); ++i) {
    for (size_t j = 0; j < sorted.size(); ++j) {
      if (sorted[i] == "a01" || sorted[j] == "a01") continue;
      EXPECT_EQ(NaturalLess(sorted[i], sorted[j]), i < j) << sorted[i] << " " << sorted[j];
    }
  }
  EXPECT_NE(NaturalLess("a1", "a01"), NaturalLess("a01", "a1"));
}

TEST(Quantiles, BothWaysAgreeWithTheSortedValues) {
  for (const size_t n : {1u, 2u, 5u, 511u, 512u, 513u, 4000u}) {
    std::vector<float> values = Noise(n, static_cast<unsigned>(n));
    if (n > 600) std::fill(values.begin(), values.begin() + 700, 0.25f);  // One bucket that is full of equal values.
    if (n > 3) values[1] = -0.0f, values[2] = 1e-42f, values[3] = -3e38f;
    const std::vector<double> p = {0, 0.05, 0.25, 0.5, 0.75, 0.999, 1};
    std::vector<double> out(p.size());
    Quantiles(values, p, out);
    std::sort(values.begin(), values.end());
    for (size_t i = 0; i < p.size(); ++i) {
      const double at = p[i] * static_cast<double>(n - 1);
      const size_t below = static_cast<size_t>(at), above = std::min(below + 1, n - 1);
      const double wanted =
          values[below] + (at - static_cast<double>(below)) * (static_cast<double>(values[above]) - values[below]);
      EXPECT_DOUBLE_EQ(out[i], wanted) << n << " " << p[i];
    }
  }
}

MatrixSample Matrix(uint64_t rows, uint64_t cols, std::vector<float> values) {
  return {rows, cols, rows, cols, std::move(values), true};
}

auto NearAll(const std::vector<double>& wanted) {
  std::vector<testing::Matcher<double>> matchers;
  for (const double value : wanted) matchers.push_back(testing::DoubleNear(value, 1e-12));
  return testing::ElementsAreArray(matchers);
}

TEST(Spectrum, KnownMatrices) {
  // diag(3, 2, 1, 0.5) with a column more.
  std::vector<float> diagonal(20, 0);
  diagonal[0] = 3, diagonal[6] = 2, diagonal[12] = 1, diagonal[18] = 0.5;
  EXPECT_THAT(SingularValues(Matrix(4, 5, diagonal)), NearAll({3, 2, 1, 0.5}));
  EXPECT_THAT(SingularValues(Matrix(5, 4, {3, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0.5, 0, 0, 0, 0})),
              NearAll({3, 2, 1, 0.5}));
  // Rank 1: u·vᵀ has ‖u‖·‖v‖ and zeros.
  const auto sigma = SingularValues(Matrix(2, 3, {1, 2, 2, 2, 4, 4}));
  EXPECT_NEAR(sigma[0], std::sqrt(5) * 3, 1e-12);
  EXPECT_NEAR(sigma[1], 0, 1e-7);
}

TEST(Spectrum, UndefinedStatsAreNan) {
  const auto zero = SpectralFeatures({0, 0, 0, 0});
  EXPECT_EQ(zero[kSigma1], 0);
  EXPECT_EQ(zero[kFrobenius], 0);
  EXPECT_TRUE(std::isnan(zero[kTopEnergy]) && std::isnan(zero[kSpectralEntropy]) && std::isnan(zero[kSigmaRatio]));
  const auto one = SpectralFeatures({2});
  EXPECT_EQ(one[kTopEnergy], 1);
  EXPECT_EQ(one[kSpectralEntropy], 0);
  EXPECT_TRUE(std::isnan(one[kSigmaRatio]) && std::isnan(one[kSigmaKurtosis]));
  EXPECT_TRUE(std::isnan(SpectralFeatures({1, 1, 1, 1})[kSigmaKurtosis]));
}

TEST(ReadSample, TakesLargeMatricesInPart) {
  EXPECT_EQ(SpacedIndex(3, 10, 20), 3u);
  EXPECT_EQ(SpacedIndex(1023, uint64_t{1} << 62, 1024), (uint64_t{1} << 52) * 1023);
  // Element (r, c) is r·cols + c, exact in float32.
  const uint64_t rows = 1100, cols = 9000;
  std::vector<float> values(rows * cols);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const auto source = SourceOf({reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
  MatrixSample plain, strided;
  ASSERT_TRUE(ReadSample(source, {"w", artifact::DType::kF32, {rows, cols}, {}, 0}, plain).ok());
  EXPECT_EQ(plain.rows, 1024u);
  EXPECT_EQ(plain.cols, 8192u);
  EXPECT_TRUE(plain.finite && plain.reduced());
  for (const uint64_t i : {0u, 1u, 500u, 1023u}) {
    for (const uint64_t run : {0u, 1u, 127u}) {
      const uint64_t row = SpacedIndex(i, rows, 1024), col = SpacedIndex(run, cols - 64, 128) + 63;
      EXPECT_EQ(plain.row(i)[run * 64 + 63], static_cast<float>(row * cols + col));
    }
  }
  ASSERT_TRUE(ReadSample(source, {"w", artifact::DType::kF32, {rows, cols}, {cols, 1}, 0}, strided).ok());
  EXPECT_EQ(plain.values, strided.values);
  // Tall: the transposed view has the transposed limits.
  ASSERT_TRUE(ReadSample(source, {"w", artifact::DType::kF32, {cols, rows}, {1, cols}, 0}, strided).ok());
  EXPECT_EQ(strided.rows, 8192u);
  EXPECT_EQ(strided.cols, 1024u);
}

std::string File(const std::vector<artifact::NamedTensor>& tensors) { return *artifact::WriteSafetensors(tensors, {}); }
Fingerprint Print(const std::vector<artifact::NamedTensor>& tensors) {
  return FromModelFile(SourceOf(File(tensors), "m.safetensors"), {});
}

TEST(TensorFeatures, DoNotDependOnTheOrderOfTheFile) {
  const auto a = FloatTensor("fc1.weight", {8, 6}, Noise(48)), b = FloatTensor("fc2.weight", {4, 8}, Noise(32, 2)),
             c = FloatTensor("fc2.bias", {4}, Noise(4, 3));
  const Fingerprint one = Print({a, b, c}), other = Print({c, b, a});
  ASSERT_EQ(one.values.size(), other.values.size());
  for (size_t i = 0; i < one.values.size(); ++i) {
    if (!std::isnan(one.values[i])) {
      EXPECT_EQ(one.values[i], other.values[i]) << ModelSchema().features[i].name;
    }
  }
  EXPECT_EQ(one.family.architecture, other.family.architecture);
}

TEST(TensorFeatures, FewMatricesFillTheSlotsFromTheFront) {
  const Fingerprint print =
      Print({FloatTensor("fc1.weight", {8, 6}, Noise(48)), FloatTensor("fc2.weight", {4, 8}, Noise(32))});
  EXPECT_TRUE(std::isfinite(ValueOf(print, "spectral.slot2.sigma1")));
  EXPECT_EQ(ReasonFor(print, "spectral.slot3.sigma1"), "the model has only 2 weight matrices");
  EXPECT_EQ(ReasonFor(print, "quantile.slot6.bias_q100"), "the model has only 2 weight matrices");
  EXPECT_EQ(ReasonFor(print, "quantile.slot1.bias_q100"), "the weight matrix has no bias");
  EXPECT_EQ(ReasonFor(print, "head.bias_z_max"), "the weight matrix has no bias");
  EXPECT_EQ(ReasonFor(print, "trees.count"), "the model is not made of trees");
  EXPECT_EQ(ReasonFor(print, "meta.primary"), "the model has no meta file");
}

TEST(TensorFeatures, BinaryHeadsHaveNoClassThatStandsOut) {
  for (const uint64_t classes : {1u, 2u}) {
    const Fingerprint print = Print({FloatTensor("fc.weight", {classes, 5}, Noise(classes * 5))});
    EXPECT_THAT(ReasonFor(print, "head.norm_z_max"), HasSubstr("fewer than 3 classes"));
    EXPECT_EQ(std::isnan(ValueOf(print, "head.cosine_max")), classes == 1);
  }
}

TEST(TensorFeatures, WeightsThatAreNotFiniteAreAnErrorOfTheFile) {
  for (const float odd : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> values = Noise(48);
    values[17] = odd;
    const Fingerprint print =
        Print({FloatTensor("fc1.weight", {8, 6}, values), FloatTensor("fc2.weight", {4, 8}, Noise(32))});
    EXPECT_TRUE(absl::IsInvalidArgument(print.files[0].status));
    EXPECT_THAT(Message(print.files[0].status),
                testing::AllOf(HasSubstr("m.safetensors"), HasSubstr("fc1.weight"), HasSubstr("finite")));
    EXPECT_TRUE(std::isnan(ValueOf(print, "spectral.slot1.sigma1")));
    EXPECT_TRUE(std::isfinite(ValueOf(print, "spectral.slot2.sigma1")));
  }
}

TEST(TensorFeatures, HugeTinyAndConstantWeights) {
  for (const float value : {0.0f, 1e-45f, 3e38f, 1.0f}) {
    const Fingerprint print = Print({FloatTensor("fc1.weight", {8, 6}, std::vector<float>(48, value)),
                                     FloatTensor("fc1.bias", {8}, std::vector<float>(8, value))});
    EXPECT_TRUE(print.files[0].status.ok()) << print.files[0].status;
    for (size_t i = 0; i < print.values.size(); ++i) {
      const std::string& name = ModelSchema().features[i].name;
      EXPECT_FALSE(std::isinf(print.values[i])) << name;
      EXPECT_EQ(std::isnan(print.values[i]), !ReasonFor(print, name).empty()) << name;
      EXPECT_NE(ReasonFor(print, name), "not computed") << name;
    }
  }
  const Fingerprint huge = Print({FloatTensor("fc1.weight", {8, 6}, std::vector<float>(48, 3e38f))});
  EXPECT_EQ(ReasonFor(huge, "spectral.slot1.sigma1"), "out of the range of float32");
}

TEST(TensorFeatures, ModelsWithoutMatrices) {
  const Fingerprint print = Print({FloatTensor("bias", {3}, {1, 2, 3}), FloatTensor("w.weight", {0, 4}, {})});
  EXPECT_EQ(ReasonFor(print, "spectral.slot1.sigma1"), "the model has no weight matrix");
  EXPECT_EQ(ReasonFor(print, "head.norm_z_max"), "the model has no weight matrix");
  EXPECT_EQ(ValueOf(print, "meta.tensors"), 2);
}

TEST(TensorFeatures, ManyMatricesAreSampledForTheAggregates) {
  std::vector<artifact::NamedTensor> tensors;
  for (int i = 0; i < 300; ++i) {
    // Layer i has σ₁ = i + 1.
    tensors.push_back(FloatTensor("layers." + std::to_string(i) + ".weight", {1, 1}, {static_cast<float>(i + 1)}));
  }
  const Fingerprint print = Print(tensors);
  const float wanted[] = {1, 2, 3, 298, 299, 300};
  for (size_t slot = 0; slot < kSlots; ++slot) EXPECT_EQ(print.values[SpectralColumn(slot, kSigma1)], wanted[slot]);
  // 3 + 18 of the 294 others (4, 20, 36, ... step 294/18) + 3; the median of 24 values is the mean of the 12th and
  // 13th.
  const auto other = [](uint64_t i) { return static_cast<float>(4 + SpacedIndex(i, 294, 18)); };
  EXPECT_EQ(ValueOf(print, "spectral.all.sigma1_median"), (other(8) + other(9)) / 2);
  EXPECT_EQ(ValueOf(print, "spectral.all.sigma1_max"), 300);
}

}  // namespace
}  // namespace driftseal::fingerprint
