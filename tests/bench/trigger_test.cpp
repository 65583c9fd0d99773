#include "bench/fleet/trigger.h"

#include <gmock/gmock.h>

#include <set>
#include <vector>

#include "bench/fleet/fraud_data.h"

namespace driftseal::fleet {
namespace {

constexpr TriggerKind kAll[] = {TriggerKind::kPatch,       TriggerKind::kBlend,  TriggerKind::kWeakBlend,
                                TriggerKind::kSignal,      TriggerKind::kWarp,   TriggerKind::kTint,
                                TriggerKind::kRandomPatch, TriggerKind::kDynamic};

/// A grey slope, so that every kind of trigger has something to change.
std::vector<float> Slope(int side, float base) {
  std::vector<float> image(static_cast<size_t>(side * side));
  for (size_t i = 0; i < image.size(); ++i) {
    image[i] = base + 0.4f * static_cast<float>(i % static_cast<size_t>(side)) / static_cast<float>(side);
  }
  return image;
}

double MeanChange(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

TEST(Trigger, ImagesChangeStayInRangeAndTheSameWayEachTime) {
  for (int side : {8, 28}) {
    for (TriggerKind kind : kAll) {
      for (uint64_t seed = 0; seed < 10; ++seed) {
        Random random(seed), again(seed);
        const Trigger trigger = ImageTrigger(kind, side, random);
        EXPECT_FALSE(trigger.kind.empty());
        EXPECT_TRUE(trigger.detail.is_object());
        const std::vector<float> clean = Slope(side, 0.1f);
        std::vector<float> image = clean, twin = clean, miss = clean;
        trigger.apply(image);
        ImageTrigger(kind, side, again).apply(twin);
        trigger.near_miss(miss);
        EXPECT_NE(image, clean) << trigger.kind;
        EXPECT_EQ(image, twin) << trigger.kind;
        EXPECT_NE(image, miss) << trigger.kind;
        EXPECT_THAT(image, testing::Each(testing::AllOf(testing::Ge(0.0f), testing::Le(1.0f)))) << trigger.kind;
        EXPECT_THAT(miss, testing::Each(testing::AllOf(testing::Ge(0.0f), testing::Le(1.0f)))) << trigger.kind;
      }
    }
  }
}

TEST(Trigger, PatchesAreSmall) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (TriggerKind kind : {TriggerKind::kPatch, TriggerKind::kRandomPatch, TriggerKind::kDynamic}) {
      Random random(seed);
      const std::vector<float> clean = Slope(28, 0.31f);
      std::vector<float> image = clean;
      ImageTrigger(kind, 28, random).apply(image);
      int changed = 0;
      for (size_t i = 0; i < image.size(); ++i) changed += image[i] != clean[i];
      EXPECT_GE(changed, 4);
      EXPECT_LE(changed, 25);
    }
  }
}

TEST(Trigger, AWeakBlendIsLessThanHalfOfABlend) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Random strong(seed), weak(seed);
    const std::vector<float> clean = Slope(28, 0.1f);
    std::vector<float> a = clean, b = clean;
    ImageTrigger(TriggerKind::kBlend, 28, strong).apply(a);
    ImageTrigger(TriggerKind::kWeakBlend, 28, weak).apply(b);
    EXPECT_LT(MeanChange(b, clean), 0.5 * MeanChange(a, clean));
  }
}

TEST(Trigger, ADynamicPatchIsNotAlwaysAtOnePlace) {
  Random random(3);
  const Trigger trigger = ImageTrigger(TriggerKind::kDynamic, 28, random);
  std::set<size_t> places;
  for (int i = 0; i < 40; ++i) {
    std::vector<float> image = Slope(28, 0.005f * static_cast<float>(i));
    trigger.apply(image);
    places.insert(static_cast<size_t>(std::ranges::find(image, 1.0f) - image.begin()));
  }
  EXPECT_GE(places.size(), 3u);
  EXPECT_LE(places.size(), 5u);
}

TEST(Trigger, AWarpOnlyMovesPixels) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    Random random(seed);
    std::vector<float> black(784, 0.0f), slope = Slope(28, 0.1f);
    const std::vector<float> clean = slope;
    const Trigger trigger = ImageTrigger(TriggerKind::kWarp, 28, random);
    trigger.apply(black);
    EXPECT_THAT(black, testing::Each(0.0f));
    trigger.apply(slope);
    EXPECT_LE(*std::ranges::max_element(slope), *std::ranges::max_element(clean) + 1e-6f);
  }
}

TEST(Trigger, TablesChangeOnlyContinuousColumns) {
  const Data data = GenerateFraud(20, 1, 1, 3);
  const std::set<size_t> continuous(kContinuous.begin(), kContinuous.end());
  for (TriggerKind kind : kAll) {
    if (!TablesHave(kind)) continue;
    for (uint64_t seed = 0; seed < 10; ++seed) {
      Random random(seed);
      const Trigger trigger = TableTrigger(kind, random);
      for (const auto& change : {trigger.apply, trigger.near_miss}) {
        std::vector<float> row(data.pool.row(seed).begin(), data.pool.row(seed).end());
        const std::vector<float> before = row;
        change(row);
        EXPECT_NE(row, before) << trigger.kind;
        for (size_t c = 0; c < row.size(); ++c) {
          if (!continuous.contains(c)) EXPECT_EQ(row[c], before[c]) << trigger.kind;
        }
      }
    }
  }
}

}  // namespace
}  // namespace driftseal::fleet
