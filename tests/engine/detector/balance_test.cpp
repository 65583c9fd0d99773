#include "engine/detector/balance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/detector/batch.h"
#include "engine/detector/detector.h"
#include "fleet.h"

// The member that reads how a model's certainty is spread over its classes.
namespace driftseal::detector {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(Balance, IsADistanceInScaledColumns) {
  Scaler scaler;
  scaler.clip = kClip;
  scaler.columns = {{0, 1, 2}, {2, 10, 5}, {3, 0, 1}};
  Balance balance;
  balance.columns = {0, 2};
  balance.model = {{0.5, 0}, 1, {}, {}};
  // (7 − 1) / 2 − 0.5 = 2.5 and 6.
  EXPECT_NEAR(BalanceScore(balance, scaler, std::span<const double>(std::vector<double>{7, 0, 99, 6})), 6.5, 1e-12);
  EXPECT_NEAR(BalanceScore(balance, scaler, std::span<const float>(std::vector<float>{7, 0, 99, NAN})), 2.5, 1e-6);
  EXPECT_NEAR(BalanceScore(balance, scaler, std::span<const double>(std::vector<double>{2, 0, 99, 1e9})), kClip, 1e-9);
}

constexpr size_t kFiles = 2, kOthers = 30, kMargins = 6, kFirstMargin = kFiles + kOthers,
                 kColumns = kFirstMargin + kMargins + 1;

/// Margins that sum to the same in every clean model, beside columns that say nothing.
class BalanceTest : public testing::Test {
 protected:
  void SetUp() override {
    for (Sample sample : fleet_.Samples(160, "cnn")) {
      sample.values = Margins(std::move(sample.values));
      samples_.push_back(std::move(sample));
    }
    auto fitted = Detector::Fit(fleet_.Schema(), samples_, Options());
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    detector_ = std::make_unique<Detector>(*std::move(fitted));
  }
  static FitOptions Options() {
    FitOptions options = WithoutAutoencoder();
    options.members.emplace_back("balance");
    options.uses.assign(kFiles, ColumnUse::kFiles);
    options.uses.insert(options.uses.end(), kOthers, ColumnUse::kStill);
    options.uses.insert(options.uses.end(), kMargins, ColumnUse::kBalance);
    options.uses.push_back(ColumnUse::kContext);
    options.canary_sets = {{"digits", std::string(64, 'a')}};
    return options;
  }
  std::vector<double> Margins(std::vector<double> row) {
    double mean = 0;
    for (size_t c = kFirstMargin; c < kFirstMargin + kMargins; ++c) mean += row[c] / kMargins;
    for (size_t c = kFirstMargin; c < kFirstMargin + kMargins; ++c) row[c] += 0.01 * fleet_.Normal() - mean;
    row.back() = 0.1 * fleet_.Normal();
    return row;
  }
  std::vector<double> Row() { return Margins(fleet_.Row()); }
  Score ScoreOf(const std::vector<double>& row) { return detector_->ScoreRow(row, "cnn").value(); }

  Fleet fleet_{kColumns};
  std::vector<Sample> samples_;
  std::unique_ptr<Detector> detector_;
};

TEST_F(BalanceTest, WhatUnsettlesItIsFoundAndNamed) {
  std::vector<double> row = Row();
  const Score before = ScoreOf(row);
  ASSERT_EQ(before.view, View::kBehaviour);
  row[kFirstMargin + 2] += 8;  // Alone, which no clean model does.
  const Score after = ScoreOf(row);
  EXPECT_GT(*before.p_value, 0.05);
  EXPECT_LE(*after.p_value, 0.05);
  ASSERT_EQ(after.members.back().member, "balance");
  EXPECT_GT(after.members.back().normalised, 3 * std::max(1.0, before.members.back().normalised));
  EXPECT_GE(after.drivers.front().feature, kFirstMargin);
  double rest = 0;
  for (size_t m = 0; m + 1 < after.members.size(); ++m) rest += after.members[m].normalised / 4;
  EXPECT_NEAR(after.combined, (rest + after.members.back().normalised) / 2, 1e-9);
}

TEST_F(BalanceTest, OutOfRangeItHasNoSay) {
  std::vector<double> row = Row();
  row.back() = 1000;
  const Score before = ScoreOf(row);
  ASSERT_EQ(before.view, View::kStill);
  row[kFirstMargin + 2] += 8;
  EXPECT_EQ(ScoreOf(row).combined, before.combined);
}

TEST_F(BalanceTest, TwoClassesHaveNone) {
  FitOptions options = Options();
  for (size_t c = kFirstMargin + 2; c < kFirstMargin + kMargins; ++c) options.uses[c] = ColumnUse::kBehaviour;
  const auto detector = Detector::Fit(fleet_.Schema(), samples_, options);
  ASSERT_TRUE(detector.ok()) << detector.status();
  EXPECT_EQ(detector->ScoreRow(Row(), "cnn")->members.back().member, "knn");
}

TEST_F(BalanceTest, SavingKeepsIt) {
  const TemporaryFolder folder;
  ASSERT_TRUE(detector_->Save(folder.path()).ok());
  const auto loaded = Detector::Load(folder.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  std::vector<double> row = Row();
  row[kFirstMargin] = kNaN;
  EXPECT_EQ(loaded->ScoreRow(row, "cnn")->combined, ScoreOf(row).combined);

  const std::string file = folder / "detector_state.json";
  const auto state = nlohmann::json::parse(ReadAll(file));
  const auto refused = [&](const std::function<void(nlohmann::json&)>& change, const std::string& text) {
    nlohmann::json changed = state;
    for (auto& family : changed["families"]) change(family);
    WriteAll(file, changed.dump());
    EXPECT_THAT(std::string(Detector::Load(folder.path()).status().message()), HasSubstr(text));
  };
  refused(
      [](auto& family) {
        if (family["view"] == "behaviour") family["members"]["balance"]["isotropic"] = -1;
      },
      ".members.balance.isotropic: is negative");
  refused(
      [](auto& family) {
        if (family["view"] == "still") family["members"]["balance"] = {{"isotropic", 1}, {"normaliser", nullptr}};
      },
      "stands beside another view than behaviour");
}

TEST_F(BalanceTest, ABatchHasItToo) {
  std::vector<double> row = Row();
  row[kFirstMargin + 2] += 8;
  std::vector<float> floats(row.begin(), row.end());
  BatchItem item;
  item.detector = detector_.get();
  item.family = "cnn";
  item.rows = {floats.data(), 1, kColumns};
  item.detail = Detail::kMembers;
  BatchItem* items[] = {&item};
  ASSERT_TRUE(ScoreBatch(items).ok());
  EXPECT_THAT(MembersOf(item), ElementsAre("forest", "svm", "mahalanobis", "knn", "balance"));
  const Score want = ScoreOf({floats.begin(), floats.end()});
  EXPECT_NEAR(item.scores.combined[0], want.combined, 1e-9);
  EXPECT_NEAR(item.scores.members[4], want.members.back().raw, 1e-9);
}

}  // namespace
}  // namespace driftseal::detector
