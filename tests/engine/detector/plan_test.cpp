#include "engine/detector/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "fleet.h"

namespace driftseal::detector {
namespace {

std::vector<size_t> All(const std::vector<Sample>& samples) {
  std::vector<size_t> all(samples.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

std::set<std::string> Ids(const std::vector<Sample>& samples, const std::vector<size_t>& rows) {
  std::set<std::string> ids;
  for (size_t row : rows) ids.insert(samples[row].id);
  return ids;
}

TEST(Plan, SplitsInHalfWithoutOverlap) {
  Fleet fleet(4);
  const auto samples = fleet.Samples(51, "a");
  const Plan plan = PlanFamily("a", samples, All(samples), FitOptions());
  EXPECT_EQ(plan.calibrate.size(), 25u);
  EXPECT_EQ(plan.fit.size(), 26u);
  auto ids = Ids(samples, plan.fit);
  ids.merge(Ids(samples, plan.calibrate));
  EXPECT_EQ(ids.size(), 51u);
}

TEST(Plan, SplitDependsOnSeedAndIdsAlone) {
  Fleet fleet(4);
  auto samples = fleet.Samples(60, "a");
  FitOptions options;
  const auto first = Ids(samples, PlanFamily("a", samples, All(samples), options).fit);
  options.seed = 2;
  EXPECT_NE(first, Ids(samples, PlanFamily("a", samples, All(samples), options).fit));
  options.seed = 1;
  std::reverse(samples.begin(), samples.end());
  for (Sample& sample : samples) sample.values[0] += 1;
  EXPECT_EQ(first, Ids(samples, PlanFamily("a", samples, All(samples), options).fit));
}

TEST(Plan, KeepsRowsToFitAndCapsThem) {
  Fleet fleet(2);
  const auto few = fleet.Samples(8, "a");
  FitOptions options;
  options.calibration_share = 0.9;
  EXPECT_EQ(PlanFamily("a", few, All(few), options).fit.size(), kLeastFittingRows);
  const auto many = fleet.Samples(5000, "a");
  const Plan plan = PlanFamily("a", many, All(many), FitOptions());
  EXPECT_EQ(plan.fit.size(), kMostFittingRows);
  EXPECT_EQ(plan.calibrate.size(), 3000u);
  options.calibration_share = 0;
  EXPECT_TRUE(PlanFamily("a", many, All(many), options).calibrate.empty());
}

TEST(Plan, ScalesOnFittingRowsOnly) {
  Fleet fleet(3);
  auto samples = fleet.Samples(40, "a");
  const Plan before = PlanFamily("a", samples, All(samples), FitOptions());
  for (size_t row : before.calibrate) samples[row].values[1] *= 100;
  const Plan after = PlanFamily("a", samples, All(samples), FitOptions());
  EXPECT_EQ(before.scaler.columns[1].scale, after.scaler.columns[1].scale);
  EXPECT_EQ(before.rows.values, after.rows.values);
}

TEST(Plan, SaysWhyNothingCanBeFitted) {
  Fleet fleet(3);
  auto samples = fleet.Samples(30, "a");
  for (Sample& sample : samples) sample.values = {1, 2, std::nan("")};
  const Plan plan = PlanFamily("a", samples, All(samples), FitOptions());
  EXPECT_NE(plan.problem.find("no column varies"), std::string::npos);
}

TEST(Plan, RowsThatAreMostlyMissingTakeNoPart) {
  Fleet fleet(4);
  auto samples = fleet.Samples(40, "a");
  for (size_t i = 0; i < 6; ++i) {
    for (size_t c = 0; c < 3; ++c) samples[i].values[c] = std::nan("");
  }
  const Plan plan = PlanFamily("a", samples, All(samples), FitOptions());
  EXPECT_EQ(plan.fit.size() + plan.calibrate.size(), 34u);
  EXPECT_EQ(plan.rows.rows, plan.fit.size());
}

/// Column 0 only tells the families apart, column 1 is missing from most families, columns 2 and 3 are comparable.
TEST(Plan, GlobalDetectorKeepsComparableColumns) {
  Fleet fleet(4);
  std::vector<Sample> samples;
  for (int f = 0; f < 5; ++f) {
    for (Sample& sample : fleet.Samples(30, "family" + std::to_string(f))) {
      sample.values[0] = 1000.0 * f + 0.01 * sample.values[0];
      if (f > 0) sample.values[1] = std::nan("");
      samples.push_back(sample);
    }
  }
  const Plan plan = PlanGlobal(samples, FitOptions());
  ASSERT_EQ(plan.scaler.columns.size(), 2u);
  EXPECT_EQ(plan.scaler.columns[0].feature, 2u);
  EXPECT_EQ(plan.scaler.columns[1].feature, 3u);
  EXPECT_EQ(plan.key, kGlobalKey);
}

}  // namespace
}  // namespace driftseal::detector
