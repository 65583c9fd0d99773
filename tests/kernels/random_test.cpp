#include "kernels/random.h"

#include <gtest/gtest.h>

#include <set>

namespace driftseal::kernels {
namespace {

TEST(Random, IsXoshiro256StarStarSeededBySplitMix64) {
  // From the authors' C programs (prng.di.unimi.it): splitmix64 seeded with 1 gives xoshiro256**'s state.
  Random random(1);
  EXPECT_EQ(random.Next(), 12966619160104079557u);
  EXPECT_EQ(random.Next(), 9600361134598540522u);
  EXPECT_EQ(random.Next(), 10590380919521690900u);
}

TEST(Random, StreamsDiffer) {
  std::set<uint64_t> first;
  for (uint64_t stream = 0; stream < 1000; ++stream) first.insert(Random(1, stream).Next());
  EXPECT_EQ(first.size(), 1000u);
}

TEST(Random, BelowIsUniform) {
  constexpr int kDraws = 60000, kSides = 6;
  Random random(42);
  int counts[kSides] = {};
  for (int i = 0; i < kDraws; ++i) ++counts[random.Below(kSides)];
  double chi2 = 0;
  for (int count : counts) chi2 += (count - 10000.0) * (count - 10000.0) / 10000.0;
  EXPECT_LT(chi2, 20.5);  // 0.999 quantile of χ² with 5 degrees of freedom
}

TEST(Random, UniformStaysBelowOne) {
  Random random(3);
  double lowest = 1, highest = 0;
  for (int i = 0; i < 100000; ++i) {
    const double u = random.Uniform();
    lowest = std::min(lowest, u);
    highest = std::max(highest, u);
  }
  EXPECT_GE(lowest, 0);
  EXPECT_LT(lowest, 1e-3);
  EXPECT_LT(highest, 1);
  EXPECT_GT(highest, 1 - 1e-3);
}

}  // namespace
}  // namespace driftseal::kernels
