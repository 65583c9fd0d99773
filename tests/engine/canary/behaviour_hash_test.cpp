#include "engine/canary/behaviour_hash.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

namespace driftseal::canary {
namespace {

constexpr size_t kClasses = 10, kInputs = 300;

std::vector<float> SomeLogits(uint32_t seed, double scale) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, scale);
  std::vector<float> logits(kInputs * kClasses);
  for (float& logit : logits) logit = static_cast<float>(normal(random) + 40 * scale);
  return logits;
}

EnrolledBehaviour Enrol(const std::vector<float>& logits) {
  const auto enrolled = EnrolBehaviour(logits, kClasses, ParametersOf(logits, kClasses), artifact::Digest{});
  EXPECT_TRUE(enrolled.ok()) << enrolled.status();
  return *enrolled;
}

std::vector<float> Perturbed(std::vector<float> logits, double by, uint32_t seed, bool extreme) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (float& logit : logits) {
    const double share = extreme ? (uniform(random) < 0 ? -1.0 : 1.0) : uniform(random);
    // Towards the old value where single precision would step beyond the bound.
    float moved = static_cast<float>(logit + by * share);
    while (std::abs(static_cast<double>(moved) - logit) > by) moved = std::nextafter(moved, logit);
    logit = moved;
  }
  return logits;
}

TEST(BehaviourHash, IsEqualForLogitsWithinTheBoundEveryTime) {
  for (const double scale : {1e-3, 1.0, 250.0}) {
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const std::vector<float> logits = SomeLogits(seed, scale);
      const EnrolledBehaviour enrolled = Enrol(logits);
      for (uint32_t again = 0; again < 10; ++again) {
        const std::vector<float> other =
            Perturbed(logits, enrolled.parameters.bound, 1000 * seed + again, again % 2 == 0);
        const auto match = MatchBehaviour(other, enrolled);
        ASSERT_TRUE(match.ok()) << match.status();
        ASSERT_TRUE(match->equal) << "scale " << scale << ", seed " << seed << "/" << again << ": " << match->different
                                  << " of " << match->compared << " differ";
        EXPECT_EQ(match->hash, enrolled.hash);
        EXPECT_EQ(match->Distance(), 0);
      }
    }
  }
}

TEST(BehaviourHash, ChangesBeyondTheBound) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> logits = SomeLogits(seed, 1);
    const EnrolledBehaviour enrolled = Enrol(logits);
    const auto match = MatchBehaviour(Perturbed(logits, 8 * enrolled.parameters.bound, seed, true), enrolled);
    ASSERT_TRUE(match.ok());
    EXPECT_FALSE(match->equal);
    EXPECT_NE(match->hash, enrolled.hash);
    EXPECT_GT(match->Distance(), 0);
    EXPECT_LT(match->Distance(), 0.5);
  }
}

// One answer of all: a trigger that only a single canary sets off.
TEST(BehaviourHash, OneChangedAnswerChangesIt) {
  std::vector<float> logits = SomeLogits(3, 1);
  const EnrolledBehaviour enrolled = Enrol(logits);
  logits[17 * kClasses + 4] += 5;
  const auto match = MatchBehaviour(logits, enrolled);
  ASSERT_TRUE(match.ok());
  EXPECT_FALSE(match->equal);
  EXPECT_GT(match->different, 0u);
  EXPECT_LE(match->different, kClasses + 3);
}

TEST(BehaviourHash, AnotherModelLiesFarAway) {
  const auto match = MatchBehaviour(SomeLogits(2, 1), Enrol(SomeLogits(1, 1)));
  ASSERT_TRUE(match.ok());
  EXPECT_GT(match->Distance(), 0.7);
}

// Softmax does not see what is added to all logits of a row, and neither does the hash.
TEST(BehaviourHash, WhatIsAddedToAllClassesDoesNotCount) {
  std::vector<float> logits(kInputs * kClasses);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>((i * 7919) % 512) / 64;
  const EnrolledBehaviour enrolled = Enrol(logits);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] += static_cast<float>(i / kClasses % 32);
  EXPECT_TRUE(MatchBehaviour(logits, enrolled)->equal);
}

TEST(BehaviourHash, MasksFewEntriesAndAllTies) {
  const EnrolledBehaviour enrolled = Enrol(SomeLogits(5, 1));
  const auto match = MatchBehaviour(SomeLogits(5, 1), enrolled);
  const double share = 1 - static_cast<double>(match->compared) / static_cast<double>(enrolled.mask.size());
  EXPECT_GT(share, 0.02);
  EXPECT_LT(share, 0.12);
  // All classes alike: no rank is sure, and the buckets' middle is no edge.
  const std::vector<float> flat(kInputs * kClasses, 3.0f);
  const EnrolledBehaviour same = Enrol(flat);
  EXPECT_EQ(MatchBehaviour(flat, same)->compared, kInputs * kClasses);
}

TEST(BehaviourHash, DependsOnTheInputsAndTheParameters) {
  const std::vector<float> logits = SomeLogits(1, 1);
  const HashParameters parameters = ParametersOf(logits, kClasses);
  artifact::Digest other;
  other.bytes[0] = 1;
  const auto plain = EnrolBehaviour(logits, kClasses, parameters, {});
  EXPECT_NE(EnrolBehaviour(logits, kClasses, parameters, other)->hash, plain->hash);
  EXPECT_NE(EnrolBehaviour(logits, kClasses, {parameters.step * 2, parameters.bound, 3}, {})->hash, plain->hash);
  EXPECT_EQ(EnrolBehaviour(logits, kClasses, parameters, {})->hash, plain->hash);
}

TEST(BehaviourHash, RefusesWhatItCannotHash) {
  const std::vector<float> logits = SomeLogits(1, 1);
  const HashParameters good = ParametersOf(logits, kClasses);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(EnrolBehaviour({}, kClasses, good, {}).ok());
  EXPECT_FALSE(EnrolBehaviour(logits, 1, good, {}).ok());
  EXPECT_FALSE(EnrolBehaviour(logits, 7, good, {}).ok());
  for (const HashParameters bad :
       {HashParameters{0, 0, 3}, {nan, 0, 3}, {1, nan, 3}, {1, 0.25, 3}, {1, -1, 3}, {1, 0.1, 0}, {1, 0.1, 17}}) {
    EXPECT_FALSE(EnrolBehaviour(logits, kClasses, bad, {}).ok()) << bad.step << " " << bad.bound << " " << bad.order;
  }
  std::vector<float> infinite = logits;
  infinite[5] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(EnrolBehaviour(infinite, kClasses, good, {}).ok());
  EXPECT_FALSE(MatchBehaviour(infinite, Enrol(logits)).ok());
  EXPECT_FALSE(MatchBehaviour(std::span(logits).first(20), Enrol(logits)).ok());
}

}  // namespace
}  // namespace driftseal::canary
