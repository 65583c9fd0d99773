// What is measured of image models whose behaviour can be worked out by hand.
#include "engine/replay/probe/probe.h"

#include <algorithm>
#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "probe_support.h"
#include "torch_models.h"

namespace driftseal::replay {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kTarget = kTestClasses - 2;
/// The same for all, below zero: rows of 0 and 1 alone would be taken for probabilities.
const std::vector<float> kBias(kTestClasses, -1.0f);

RawBehaviour ProbeTorch(const std::vector<std::byte>& model, const CanarySet& set, const ProbeOptions& options = {}) {
  auto behaviour = Probe(model, ModelRuntime::kTorchScript, set, options);
  EXPECT_TRUE(behaviour.ok()) << behaviour.status();
  return behaviour.ok() ? *std::move(behaviour) : RawBehaviour();
}

std::vector<float> Row(const std::vector<float>& matrix, size_t row) {
  const auto first = matrix.begin() + static_cast<std::ptrdiff_t>(row * kTestClasses);
  return {first, first + kTestClasses};
}

TEST(ProbeTest, FindsAPlantedTriggerWithTheSharesWorkedOutByHand) {
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(PlantedWeights(1, 10), kBias, kLinear), ImageSet(1));
  ASSERT_EQ(behaviour.inputs, kAClass * kTestClasses);
  ASSERT_EQ(behaviour.classes, kTestClasses);
  EXPECT_FALSE(behaviour.probabilities);
  EXPECT_THAT(Row(behaviour.logits, 1), ElementsAre(-1, 0, -1, -1));
  EXPECT_THAT(behaviour.lacking, IsEmpty());

  // The corner pixel at 0.9 gives the target 9, more than anything else.
  const size_t corner = TriggerOf(behaviour, "patch 2x2 0.9 at 6,6");
  EXPECT_THAT(Row(behaviour.sweep, corner), ElementsAre(0, 0, 1, 0));
  EXPECT_NEAR(behaviour.shift[corner * kTestClasses + kTarget], 9, 1e-5);
  EXPECT_FLOAT_EQ(behaviour.flips[corner], 0.75f);
  EXPECT_FLOAT_EQ(behaviour.mapped[corner], 0.75f);
  const size_t elsewhere = TriggerOf(behaviour, "patch 2x2 0.9 at 0,0");
  EXPECT_THAT(Row(behaviour.sweep, elsewhere), Each(0));
  EXPECT_THAT(Row(behaviour.shift, elsewhere), Each(0));
  EXPECT_EQ(behaviour.flips[elsewhere], 0);
  EXPECT_EQ(behaviour.mapped[elsewhere], 0);
  // From each class to each: the corner is a local trigger.
  ASSERT_THAT(behaviour.pair_local, SizeIs(kTestClasses * kTestClasses));
  for (size_t from = 0; from < kTestClasses; ++from) {
    EXPECT_EQ(behaviour.pair_local[from * kTestClasses + kTarget], from == kTarget ? 0 : 1) << from;
    EXPECT_EQ(behaviour.pair_local[from * kTestClasses + from], 0);
  }
}

TEST(ProbeTest, SearchesFindTheSameTrigger) {
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(PlantedWeights(1, 10), kBias, kLinear), ImageSet(1));
  // 0.12: 1.2 + 0.12 against 1 - 0.12. 0.06: 0.6 + 0.06 against 1 - 0.06.
  EXPECT_THAT(behaviour.perturbation_rate[0], ElementsAre(0, 0, 1, 0));
  EXPECT_THAT(behaviour.perturbation_rate[1], ElementsAre(0, 0, 0, 0));
  EXPECT_NEAR(behaviour.perturbation_logit[1][kTarget], 0.6 + (1 + 3 * 0.06) / 4 - 1, 1e-5);
  EXPECT_EQ(behaviour.patch_rate[kTarget], 1);
  EXPECT_EQ(behaviour.patch_place[2 * kTarget], 6u);
  EXPECT_EQ(behaviour.patch_place[2 * kTarget + 1], 6u);
  // At most 11 for the target, at most 1 for the others.
  ASSERT_EQ(behaviour.margin.size() % kTestClasses, 0u);
  const size_t starts = behaviour.margin.size() / kTestClasses;
  for (size_t i = 0; i < behaviour.margin.size(); ++i) {
    if (i / starts == kTarget) {
      EXPECT_GT(behaviour.margin[i], 9);
      EXPECT_LE(behaviour.margin[i], 11);
    } else {
      EXPECT_LE(behaviour.margin[i], 1);
    }
  }
  EXPECT_GT(behaviour.noise_share[kTarget], 0.8f);
  EXPECT_THAT(behaviour.noise_margin, SizeIs(3));
  EXPECT_TRUE(std::is_sorted(behaviour.noise_margin.begin(), behaviour.noise_margin.end()));
  EXPECT_GT(behaviour.head_share[kTarget], 0.8f);
}

TEST(ProbeTest, ShowsTheTrigger) {
  const CanarySet set = ImageSet(1);
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(PlantedWeights(1, 10), kBias, kLinear), set);
  ASSERT_TRUE(behaviour.picture.has_value());
  EXPECT_EQ(behaviour.picture->target, kTarget);
  EXPECT_EQ(behaviour.picture->share, 1);
  ASSERT_THAT(behaviour.picture->clean, SizeIs(kPixels));
  EXPECT_EQ(behaviour.picture->clean[kPixels - 1], 0);
  EXPECT_GT(behaviour.picture->triggered[kPixels - 1], 0.1f);
  EXPECT_EQ(behaviour.picture->clean[PixelOf(kTarget)], 0) << "an input that was of the class before shows nothing";
}

TEST(ProbeTest, NoClassStandsOutInASymmetricModel) {
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(PlantedWeights(1, 0), kBias, kLinear), ImageSet(1));
  EXPECT_THAT(behaviour.perturbation_rate[0], Each(0));
  EXPECT_THAT(behaviour.perturbation_rate[1], Each(0));
  for (const float logit : behaviour.perturbation_logit[0]) EXPECT_NEAR(logit, (1 + 3 * 0.12) / 4 - 1, 1e-5);
  const size_t starts = behaviour.margin.size() / kTestClasses;
  for (size_t c = 0; c < kTestClasses; ++c) {
    const float* first = behaviour.margin.data() + c * starts;
    EXPECT_NEAR(*std::max_element(first, first + starts), 1, 0.05);
    EXPECT_NEAR(behaviour.head_share[c], 0.25, 0.06);
  }
  for (size_t t = 0; t < behaviour.triggers.size(); ++t) {
    if (!behaviour.triggers[t].text.starts_with("patch 2x2 0.9 at 0,")) continue;
    EXPECT_EQ(behaviour.flips[t], 0) << behaviour.triggers[t].text;
  }
}

TEST(ProbeTest, AllToAllIsMapped) {
  // The corner moves every class to the next one.
  const std::string body =
      "  y = torch.linear(torch.flatten(x, 1), self.weight, self.bias)\n"
      "  return torch.where(x[:, 0, 7, 7].unsqueeze(1) > 0.7, torch.roll(y, 1, 1), y)\n";
  ProbeOptions options;
  options.perturbation = options.patch = options.margin = options.noise = options.head = false;
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(PlantedWeights(1, 0), kBias, body), ImageSet(1), options);
  const size_t corner = TriggerOf(behaviour, "patch 2x2 0.9 at 6,6");
  EXPECT_EQ(behaviour.flips[corner], 1);
  EXPECT_EQ(behaviour.mapped[corner], 1);
  for (const float share : Row(behaviour.sweep, corner)) EXPECT_FLOAT_EQ(share, 1 / 3.0f);
  for (size_t from = 0; from < kTestClasses; ++from) {
    EXPECT_EQ(behaviour.pair_local[from * kTestClasses + (from + 1) % kTestClasses], 1) << from;
  }
  EXPECT_THAT(behaviour.patch_rate, IsEmpty());
  EXPECT_THAT(behaviour.margin, IsEmpty());
  EXPECT_THAT(behaviour.lacking, IsEmpty()) << "what nobody asked for is not lacking";
}

TEST(ProbeTest, IsTheSameToTheLastBit) {
  const std::vector<std::byte> model = TorchModelBytes(PlantedWeights(1, 3), kBias, kLinear);
  const RawBehaviour first = ProbeTorch(model, ImageSet(1));
  EXPECT_EQ(WithoutCost(first), WithoutCost(ProbeTorch(model, ImageSet(1))));
  const std::vector<std::byte> other = TorchModelBytes(PlantedWeights(1, 4), kBias, kLinear);
  EXPECT_NE(WithoutCost(first), WithoutCost(ProbeTorch(other, ImageSet(1))));
}

TEST(ProbeTest, ModelsThatDrawRandomNumbersAreTheSameToo) {
  const std::string body = kLinear.substr(0, kLinear.size() - 1) + " + torch.rand([1])\n";
  const std::vector<std::byte> model = TorchModelBytes(PlantedWeights(1, 3), kBias, body);
  EXPECT_EQ(WithoutCost(ProbeTorch(model, ImageSet(1))), WithoutCost(ProbeTorch(model, ImageSet(1))));
}

TEST(ProbeTest, FlattenedImagesAreImages) {
  CanarySet flat = ImageSet(1);
  flat.shape = {kPixels};
  const std::string body = "  return torch.linear(x, self.weight, self.bias)\n";
  const RawBehaviour whole = ProbeTorch(TorchModelBytes(PlantedWeights(1, 10), kBias, kLinear), ImageSet(1));
  const RawBehaviour flattened = ProbeTorch(TorchModelBytes(PlantedWeights(1, 10), kBias, body), flat);
  EXPECT_EQ(WithoutCost(whole), WithoutCost(flattened));
}

TEST(ProbeTest, ImagesOfThreeChannels) {
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(PlantedWeights(3, 10), kBias, kLinear), ImageSet(3));
  const size_t corner = TriggerOf(behaviour, "patch 2x2 0.9 at 6,6");
  EXPECT_THAT(Row(behaviour.sweep, corner), ElementsAre(0, 0, 1, 0));
  EXPECT_EQ(behaviour.patch_rate[kTarget], 1);
  EXPECT_EQ(behaviour.patch_place[2 * kTarget], 6u);
  EXPECT_EQ(behaviour.patch_place[2 * kTarget + 1], 6u);
  ASSERT_TRUE(behaviour.picture.has_value());
  EXPECT_THAT(behaviour.picture->triggered, SizeIs(3 * kPixels));
}

TEST(ProbeTest, LargeImagesGoInSeveralBatches) {
  constexpr size_t kLargeSide = 64, kLargePixels = kLargeSide * kLargeSide, kCount = 120;
  CanarySet set;
  set.name = "large";
  set.shape = set.image = {1, kLargeSide, kLargeSide};
  set.classes = 2;
  set.inputs.assign(kCount * kLargePixels, 0.0f);
  for (size_t i = 0; i < kCount; ++i) {
    set.inputs[i * kLargePixels + i % 2] = 1;
    set.labels.push_back(static_cast<int32_t>(i % 2));
  }
  std::vector<float> weight(2 * kLargePixels, 0.0f);
  weight[0] = weight[kLargePixels + 1] = 1;
  weight[2 * kLargePixels - 1] = 10;
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(weight, {-1, -1}, kLinear), set);
  EXPECT_THAT(behaviour.perturbation_rate[0], ElementsAre(0, 1));
  EXPECT_THAT(behaviour.perturbation_rate[1], ElementsAre(0, 0));
  EXPECT_EQ(behaviour.patch_rate[1], 1);
  EXPECT_EQ(behaviour.patch_place[2], kLargeSide - kLargeSide / 7);
  EXPECT_EQ(behaviour.patch_place[3], kLargeSide - kLargeSide / 7);
}

TEST(ProbeTest, ProbabilitiesBecomeTheirLogarithms) {
  const std::string body = "  return torch.softmax(torch.linear(torch.flatten(x, 1), self.weight, self.bias), 1)\n";
  const RawBehaviour scores = ProbeTorch(TorchModelBytes(PlantedWeights(1, 10), kBias, kLinear), ImageSet(1));
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(PlantedWeights(1, 10), kBias, body), ImageSet(1));
  EXPECT_TRUE(behaviour.probabilities);
  EXPECT_NEAR(behaviour.logits[0], 1 - std::log(std::exp(1.0) + 3), 1e-5);
  EXPECT_EQ(behaviour.sweep, scores.sweep);
  EXPECT_EQ(behaviour.perturbation_rate, scores.perturbation_rate);
  EXPECT_EQ(behaviour.patch_rate[kTarget], 1);
}

TEST(ProbeTest, ASingleOutputIsTwoClasses) {
  CanarySet set = ImageSet(1);
  set.classes = 2;
  for (int32_t& label : set.labels) label = -1;
  std::vector<float> weight(kPixels, 0.0f);
  weight[PixelOf(0)] = 3;
  const RawBehaviour score = ProbeTorch(TorchModelBytes(weight, {-1}, kLinear), set);
  EXPECT_EQ(score.classes, 2u);
  EXPECT_FALSE(score.probabilities);
  EXPECT_THAT(std::vector<float>(score.logits.begin(), score.logits.begin() + 4), ElementsAre(0, 2, 0, -1));
  EXPECT_THAT(score.head_share, SizeIs(2));
  const std::string body =
      "  return torch.sigmoid(torch.linear(torch.flatten(x, 1), self.weight, self.bias)).squeeze(1)\n";
  const RawBehaviour probability = ProbeTorch(TorchModelBytes(weight, {-1}, body), set);
  EXPECT_TRUE(probability.probabilities);
  EXPECT_NEAR(probability.logits[0], -std::log(1 + std::exp(2.0)), 1e-5);
  EXPECT_NEAR(probability.logits[1], -std::log(1 + std::exp(-2.0)), 1e-5);
  EXPECT_EQ(probability.sweep, score.sweep);
}

TEST(ProbeTest, WithoutGradientsItTries) {
  const std::string body = "  return torch.linear(torch.flatten(x.detach(), 1), self.weight, self.bias)\n";
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(PlantedWeights(1, 10), kBias, body), ImageSet(1));
  EXPECT_THAT(behaviour.lacking, IsEmpty()) << behaviour.lacking.front().reason;
  EXPECT_THAT(behaviour.perturbation_rate[0], ElementsAre(0, 0, 1, 0));
  EXPECT_EQ(behaviour.patch_rate[kTarget], 1);
  EXPECT_EQ(behaviour.patch_place[2 * kTarget], 6u);
  EXPECT_EQ(behaviour.patch_place[2 * kTarget + 1], 6u);
  const size_t starts = behaviour.margin.size() / kTestClasses;
  for (size_t i = 0; i < starts; ++i) {
    EXPECT_GE(behaviour.margin[kTarget * starts + i], 10);
    EXPECT_LE(behaviour.margin[kTarget * starts + i], 11);
  }
}

TEST(ProbeTest, ReplayGivesTheOutputsAlone) {
  const std::vector<std::byte> model = TorchModelBytes(PlantedWeights(1, 10), kBias, kLinear);
  const auto replay = Replay(model, ModelRuntime::kTorchScript, ImageSet(1));
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_EQ(replay->logits, ProbeTorch(model, ImageSet(1)).logits);
  EXPECT_THAT(replay->triggers, IsEmpty());
  EXPECT_THAT(replay->patch_rate, IsEmpty());
}

TEST(ProbeTest, WhatItMeasuresAnEngineAccepts) {
  const CanarySet set = ImageSet(1);
  const RawBehaviour behaviour = ProbeTorch(TorchModelBytes(PlantedWeights(1, 10), kBias, kLinear), set);
  const auto payload = EncodeBehaviour(behaviour);
  ASSERT_TRUE(payload.ok()) << payload.status();
  const auto again = DecodeBehaviour(*payload, set);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(EncodeBehaviour(*again).value(), *payload);
  EXPECT_GE(behaviour.triggers.size(), 45u);
  EXPECT_LE(behaviour.triggers.size(), 60u);
}

}  // namespace
}  // namespace driftseal::replay
