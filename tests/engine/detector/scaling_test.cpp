#include "engine/detector/scaling.h"

#include <gtest/gtest.h>

#include <cmath>

namespace driftseal::detector {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// One column, a value a row.
Scaler FitOne(const std::vector<double>& values) { return FitScaler({values.data(), values.size(), 1}); }

TEST(Scaler, IsMedianAndMad) {
  const Scaler scaler = FitOne({1, 2, 3, 4, 100});
  ASSERT_EQ(scaler.columns.size(), 1u);
  EXPECT_DOUBLE_EQ(scaler.columns[0].centre, 3);
  EXPECT_DOUBLE_EQ(scaler.columns[0].scale, 1.4826);
}

TEST(Scaler, FallsBackToQuartilesThenToStandardDeviation) {
  // 6 of 11 values are equal: MAD 0, quartiles 0 and 2.5.
  EXPECT_DOUBLE_EQ(FitOne({0, 0, 0, 0, 0, 0, 2, 3, 4, 5, 6}).columns[0].scale, 0.7413 * 3.5);
  const Scaler spike = FitOne({7, 7, 7, 7, 7, 7, 7, 7, 7, 17});
  EXPECT_NEAR(spike.columns[0].scale, std::sqrt(10.0), 1e-12);
  EXPECT_EQ(spike.columns[0].centre, 7);
}

TEST(Scaler, ConstantColumnsAreKeptApart) {
  const Scaler scaler = FitOne({5, 5, 5, kNan});
  EXPECT_TRUE(scaler.columns.empty());
  ASSERT_EQ(scaler.constants.size(), 1u);
  EXPECT_EQ(scaler.constants[0].value, 5);
  EXPECT_EQ(FitOne({5, 5 * (1 + 1e-7), 5}).constants.size(), 1u);  // one value as far as float32 can tell
  EXPECT_EQ(FitOne({0, 1e-13, 0}).constants.size(), 1u);
}

TEST(Scaler, LeavesOutMostlyMissingColumns) {
  const Scaler missing = FitOne({1, kNan, kNan, kNan, 2});
  EXPECT_TRUE(missing.columns.empty());
  EXPECT_TRUE(missing.constants.empty());
  EXPECT_EQ(FitOne({1, kNan, kNan, 2}).columns.size(), 1u);  // half is there
  EXPECT_TRUE(FitOne({kNan, kNan}).constants.empty());
}

TEST(Scaler, ScalesClipsAndImputes) {
  const Scaler scaler{Scaling::kRobust, 15, {{0, 10, 2}, {2, 0, 1}, {3, 1, 1}}, {}};
  const std::vector<double> row = {14, 99, -1e9, kNan};
  const ScaledRow scaled = Scale(scaler, row);
  EXPECT_EQ(scaled.values, (std::vector<double>{2, -15, 0}));
  EXPECT_EQ(scaled.imputed, std::vector<uint32_t>{2});
  EXPECT_FALSE(MostlyMissing(scaler, scaled));
  const std::vector<double> sparse = {kNan, 0, 1, kNan};
  EXPECT_TRUE(MostlyMissing(scaler, Scale(scaler, sparse)));
}

TEST(Scaler, DoesNotClipWhereNoClipIs) {
  const Scaler scaler{Scaling::kStandard, std::nullopt, {{0, 1, 3}}, {}};
  const std::vector<double> row = {1e12};
  EXPECT_DOUBLE_EQ(Scale(scaler, row).values[0], (1e12 - 1) / 3);
}

TEST(Scaler, SeesDeparturesFromConstants) {
  const Scaler scaler{Scaling::kRobust, 15, {}, {{0, 5}, {1, 0}, {2, -3}}};
  const auto departed = [&](std::vector<double> row) { return Scale(scaler, row).departed; };
  EXPECT_TRUE(departed({5, 0, -3}).empty());
  EXPECT_TRUE(departed({5 * (1 + 1e-6), 1e-12, kNan}).empty());
  EXPECT_EQ(departed({5.001, 1e-3, 3}), (std::vector<uint32_t>{0, 1, 2}));
}

}  // namespace
}  // namespace driftseal::detector
