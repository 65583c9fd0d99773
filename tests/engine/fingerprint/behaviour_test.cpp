#include "engine/fingerprint/behaviour.h"

#include <gmock/gmock.h>

#include <cmath>
#include <map>

#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/schema.h"
#include "kernels/random.h"

namespace driftseal::fingerprint {
namespace {

using replay::CanarySet;
using replay::RawBehaviour;

constexpr size_t kClasses = 5, kInputs = 50, kTriggers = 6, kStarts = 4;

/// A model in which no class stands out: each canary's own class leads, everything else is small and random.
class BehaviourTest : public testing::Test {
 protected:
  void SetUp() override {
    set_.classes = kClasses;
    raw_.inputs = kInputs;
    raw_.classes = kClasses;
    for (size_t i = 0; i < kInputs; ++i) {
      set_.labels.push_back(static_cast<int32_t>(i % kClasses));
      for (size_t c = 0; c < kClasses; ++c) raw_.logits.push_back(Draw(0, 1) + (c == i % kClasses ? 5.0f : 0.0f));
    }
    for (size_t t = 0; t < kTriggers; ++t) {
      raw_.triggers.push_back({t < 3 ? "patch" : "wave", "trigger"});
      raw_.flips.push_back(0.1f);
      raw_.mapped.push_back(0.03f);
      for (size_t c = 0; c < kClasses; ++c) {
        raw_.sweep.push_back(Draw(0.01f, 0.03f));
        raw_.shift.push_back(Draw(-0.5f, 0.5f));
      }
    }
    for (size_t pair = 0; pair < kClasses * kClasses; ++pair) {
      raw_.pair_local.push_back(Draw(0, 0.1f));
      raw_.pair_other.push_back(Draw(0.1f, 0.2f));
    }
    for (auto* rate : {&raw_.perturbation_rate[0], &raw_.perturbation_rate[1], &raw_.patch_rate, &raw_.noise_share,
                       &raw_.head_share}) {
      for (size_t c = 0; c < kClasses; ++c) rate->push_back(Draw(0.15f, 0.25f));
    }
    for (auto* logit : {&raw_.perturbation_logit[0], &raw_.perturbation_logit[1], &raw_.patch_logit, &raw_.noise_logit,
                        &raw_.head_logit}) {
      for (size_t c = 0; c < kClasses; ++c) logit->push_back(Draw(1, 2));
    }
    for (size_t i = 0; i < kClasses * kStarts; ++i) raw_.margin.push_back(Draw(8, 10));
    raw_.noise_margin = {0.5f, 1, 2};
  }
  float Draw(float low, float high) { return low + (high - low) * static_cast<float>(random_.Uniform()); }

  /// By full name.
  std::map<std::string, double> Features() const {
    std::map<std::string, double> out;
    const BehaviourValues values = BehaviourFeatures(raw_, set_);
    const char* groups[] = {"still.", "behaviour.", "balance.", "context.", "pair."};
    for (size_t p = 0; p < kBehaviourParts; ++p) {
      const auto& table = BehaviourTable(static_cast<BehaviourPart>(p));
      EXPECT_EQ(table.size(), values[p].size());
      for (size_t i = 0; i < table.size(); ++i) out[groups[p] + table[i].name] = values[p][i];
    }
    return out;
  }
  void Multiply(float by) {
    for (auto* logits : {&raw_.logits, &raw_.shift, &raw_.perturbation_logit[0], &raw_.perturbation_logit[1],
                         &raw_.patch_logit, &raw_.noise_logit, &raw_.head_logit, &raw_.margin, &raw_.noise_margin}) {
      for (float& v : *logits) v *= by;
    }
  }

  kernels::Random random_{7};
  RawBehaviour raw_;
  CanarySet set_;
};

TEST(SelfContrast, IsWhatItSays) {
  // Median 3, deviations 2 1 0 1 7: MAD 1.
  const SelfContrast c = SelfContrastOf({1, 2, 3, 4, 10}, 0.5174);
  EXPECT_DOUBLE_EQ(c.top, 7);
  EXPECT_DOUBLE_EQ(c.z, 7 / (1.4826 + 0.5174));
  EXPECT_DOUBLE_EQ(c.second, 6);
  EXPECT_DOUBLE_EQ(c.lag, 2 / (1.4826 + 0.5174));
}

TEST_F(BehaviourTest, TheSchemaHasAColumnForEachEntry) {
  EXPECT_EQ(BehaviourTable(BehaviourPart::kStill).size(), kStillColumns);
  EXPECT_EQ(BehaviourTable(BehaviourPart::kBehaviour).size(), kBehaviourColumns);
  EXPECT_EQ(BehaviourTable(BehaviourPart::kContext).size(), kContextColumns);
  EXPECT_EQ(BehaviourTable(BehaviourPart::kBalance).size(), kBalanceColumns);
  EXPECT_EQ(BehaviourTable(BehaviourPart::kPair).size(), kPairColumns);
  EXPECT_EQ(ModelSchema().features[kPairFirst].name, "pair.local.0_1");
  EXPECT_EQ(ModelSchema().features[kStillFirst].name, "still.canary.accuracy");
  EXPECT_EQ(ModelSchema().features[kContextFirst].name, "context.scale");
}

TEST_F(BehaviourTest, ASurerModelLooksTheSame) {
  const auto before = Features();
  Multiply(10);
  for (const auto& [name, value] : Features()) {
    if (name == "context.scale") {
      EXPECT_NEAR(value, before.at(name) + std::log(10), 1e-6);
    } else if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(before.at(name))) << name;
    } else {
      EXPECT_NEAR(value, before.at(name), 1e-4 * (1 + std::abs(value))) << name;
    }
  }
}

TEST_F(BehaviourTest, ABackdoorsTargetStandsOut) {
  const auto before = Features();
  raw_.sweep[1 * kClasses + 2] = 0.9f;  // The second patch sends nine tenths of the others to class 2.
  raw_.flips[1] = 0.9f;
  raw_.patch_logit[2] = 12;
  const auto after = Features();
  EXPECT_GT(after.at("still.sweep.gap"), 0.85);
  EXPECT_LT(before.at("still.sweep.gap"), 0.03);
  EXPECT_GT(after.at("still.sweep.gap_share"), 0.9);
  EXPECT_GT(after.at("still.sweep.local_second"), 0.85);
  EXPECT_GT(after.at("still.patch.logit_z"), 5 * before.at("still.patch.logit_z"));
}

TEST_F(BehaviourTest, AnAllToAllBackdoorShowsInWhereItsClassesGo) {
  EXPECT_LT(Features().at("still.mapped.excess"), 0.05);
  raw_.mapped[4] = 0.95f;
  EXPECT_GT(Features().at("still.mapped.excess"), 0.9);
}

TEST_F(BehaviourTest, PairsAreThoseOfClassesWithEnoughCanaries) {
  raw_.pair_local[3 * kClasses + 1] = 0.875f;
  raw_.pair_other[1 * kClasses + 4] = 0.75f;
  auto features = Features();
  EXPECT_EQ(features.at("pair.local.3_1"), 0.875);
  EXPECT_EQ(features.at("pair.other.1_4"), 0.75);
  EXPECT_LT(features.at("pair.other.3_1"), 0.3);
  EXPECT_TRUE(std::isnan(features.at("pair.local.0_5"))) << "there are five classes";
  EXPECT_TRUE(std::isnan(features.at("pair.local.11_0")));
  // Three of the ten canaries of class 3 are given to class 0: seven are too few.
  for (size_t i = 3; i < 18; i += kClasses) raw_.logits[i * kClasses + 0] = 20;
  features = Features();
  EXPECT_TRUE(std::isnan(features.at("pair.local.3_1")));
  EXPECT_EQ(features.at("pair.other.1_4"), 0.75);
  raw_.pair_local.clear();
  raw_.pair_other.clear();
  EXPECT_TRUE(std::isnan(Features().at("pair.other.1_4")));
}

TEST_F(BehaviourTest, LabelsThatWereTurnedShowInTheCanaries) {
  for (size_t i = 3; i < kInputs; i += kClasses) raw_.logits[i * kClasses + 1] = 20;  // Class 3 is called 1.
  const auto features = Features();
  EXPECT_DOUBLE_EQ(features.at("still.canary.accuracy"), 0.8);
  EXPECT_DOUBLE_EQ(features.at("still.canary.recall3"), 0);
  EXPECT_DOUBLE_EQ(features.at("still.canary.confusion"), 1);
  EXPECT_NEAR(features.at("still.canary.excess_top"), 0.2, 1e-12);
  EXPECT_NEAR(features.at("still.canary.miss_second"), 1, 1e-12);
}

TEST_F(BehaviourTest, WhatLacksIsMissing) {
  raw_.head_share.clear();
  raw_.head_logit.clear();
  raw_.margin.clear();
  for (int32_t& label : set_.labels) label = -1;
  for (const auto& [name, value] : Features()) {
    const bool needs = name.starts_with("still.head.") || name.starts_with("still.canary.") ||
                       name == "context.margin" || name.starts_with("balance.margin");
    const bool slot = name.starts_with("still.profile.") && std::isdigit(static_cast<unsigned char>(name.back())) != 0;
    if (needs) {
      EXPECT_TRUE(std::isnan(value)) << name;
    } else if (!slot && !name.starts_with("pair.")) {
      EXPECT_TRUE(std::isfinite(value)) << name << " " << value;
    }
  }
}

TEST_F(BehaviourTest, ColumnsOfClassesThatAreNotThereAreMissing) {
  const auto features = Features();
  EXPECT_TRUE(std::isfinite(features.at("still.profile.mean4")));
  EXPECT_TRUE(std::isnan(features.at("still.profile.mean5")));
  EXPECT_TRUE(std::isnan(features.at("still.canary.recall15")));
}

}  // namespace
}  // namespace driftseal::fingerprint
