#include "engine/detector/pairs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "engine/detector/batch.h"
#include "engine/detector/detector.h"
#include "fleet.h"

// The member that asks which pair of classes a trigger moves.
namespace driftseal::detector {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(ClassPairs, DeviationsAreWorkedOutByHand) {
  const ClassPairs pairs{{1, 2, 4, 5}, {0.1, 0.2, 0.0, 0.5}, {0.1, 0.05, 0.2, 0.1}, {}};
  const std::vector<double> row = {9, 0.3, 0.2, 9, 1, 0.4};  // 2, 0, 5, -1
  const auto largest = LargestPairs(pairs, std::span<const double>(row));
  ASSERT_EQ(largest.size(), kPairsCounted);
  EXPECT_EQ(largest[0].pair, 2u);
  EXPECT_NEAR(largest[0].z, 5, 1e-12);
  EXPECT_NEAR(PairScore(pairs, std::span<const double>(row)), 7.0 / 3, 1e-12);
  const std::vector<float> missing = {9, 0.3f, NAN, 9, NAN, NAN};
  EXPECT_NEAR(PairScore(pairs, std::span<const float>(missing)), 2, 1e-5);
  EXPECT_TRUE(std::isnan(PairScore(pairs, std::span<const double>(std::vector<double>(6, kNaN)))));
}

TEST(ClassPairs, AreFittedOnWhatMostModelsHaveAndWhatVaries) {
  Fleet fleet(1);
  std::vector<Sample> samples;
  std::vector<size_t> rows;
  for (size_t i = 0; i < 20; ++i) {
    const double even = i % 2 == 0 ? 0.1 : 0.3;
    samples.push_back({std::to_string(i), "a", {even, i < 9 ? even : kNaN, 0.5, even, i < 11 ? even : kNaN}});
    rows.push_back(i);
  }
  using enum ColumnUse;
  const auto pairs = FitPairs(samples, rows, {kPair, kPair, kPair, kStill, kPair});
  ASSERT_TRUE(pairs.has_value());
  EXPECT_THAT(pairs->features, ElementsAre(0, 4));
  EXPECT_NEAR(pairs->mean[0], 0.2, 1e-12);
  EXPECT_NEAR(pairs->spread[0], std::hypot(0.1, 0.03), 1e-12);
  EXPECT_FALSE(FitPairs(samples, rows, {kStill, kStill, kFiles, kStill, kContext}).has_value());
  EXPECT_FALSE(FitPairs(samples, rows, {kStill, kPair, kPair, kStill, kContext}).has_value());
}

constexpr size_t kFiles = 2, kOthers = kFiles + 6, kPairColumns = 30, kColumns = kOthers + kPairColumns;

/// Models whose pairs move by a few hundredths, whatever the other columns do.
class PairsTest : public testing::Test {
 protected:
  void SetUp() override {
    for (Sample sample : fleet_.Samples(160, "cnn")) {
      sample.values = Shares(std::move(sample.values));
      samples_.push_back(std::move(sample));
    }
    auto fitted = Detector::Fit(fleet_.Schema(), samples_, Options());
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    detector_ = std::make_unique<Detector>(*std::move(fitted));
  }
  static FitOptions Options() {
    FitOptions options = WithoutAutoencoder();
    options.members.emplace_back("pairs");
    options.uses.assign(kFiles, ColumnUse::kFiles);
    options.uses.insert(options.uses.end(), kOthers - kFiles - 1, ColumnUse::kStill);
    options.uses.push_back(ColumnUse::kContext);
    options.uses.insert(options.uses.end(), kPairColumns, ColumnUse::kPair);
    options.canary_sets = {{"digits", std::string(64, 'a')}};
    return options;
  }
  static std::vector<double> Shares(std::vector<double> row) {
    for (size_t c = kOthers; c < kColumns; ++c) row[c] = std::min(1.0, std::abs(row[c]) / 50);
    return row;
  }
  std::vector<double> Row() { return Shares(fleet_.Row()); }
  Score ScoreOf(const std::vector<double>& row) { return detector_->ScoreRow(row, "cnn").value(); }

  Fleet fleet_{kColumns};
  std::vector<Sample> samples_;
  std::unique_ptr<Detector> detector_;
};

TEST_F(PairsTest, OnePairAloneIsFoundAndNamed) {
  std::vector<double> row = Row();
  row[kOthers - 1] = 0;
  const Score before = ScoreOf(row);
  ASSERT_EQ(before.view, View::kBehaviour);
  row[kOthers + 7] = 0.8;
  const Score after = ScoreOf(row);
  EXPECT_GT(*before.p_value, 0.05);
  EXPECT_LE(*after.p_value, 0.05);
  EXPECT_EQ(after.drivers.front().feature, kOthers + 7);
  EXPECT_EQ(after.drivers.front().value, 0.8);
  EXPECT_GT(after.drivers.front().robust_z, 10);
  double shares = 0;
  for (const Driver& driver : after.drivers) shares += driver.share;
  EXPECT_LE(shares, 1 + 1e-9);
  ASSERT_EQ(after.members.back().member, "pairs");
  // Half of what the pairs say and half of the mean of the rest.
  double rest = 0;
  for (size_t m = 0; m + 1 < after.members.size(); ++m) rest += after.members[m].normalised / 4;
  EXPECT_NEAR(after.combined, (rest + after.members.back().normalised) / 2, 1e-9);
}

TEST_F(PairsTest, OutOfRangeTheyHaveNoSay) {
  std::vector<double> row = Row();
  row[kOthers - 1] = 1000;
  const Score before = ScoreOf(row);
  ASSERT_EQ(before.view, View::kStill);
  row[kOthers + 7] = 0.8;
  EXPECT_EQ(ScoreOf(row).combined, before.combined);
  EXPECT_NE(before.members.back().member, "pairs");
}

TEST_F(PairsTest, MissingPairsAreAsTheFamilys) {
  std::vector<double> row = Row();
  row[kOthers - 1] = 0;
  std::fill(row.begin() + kOthers, row.end(), kNaN);
  const Score score = ScoreOf(row);
  double rest = 0;
  for (size_t m = 0; m + 1 < score.members.size(); ++m) rest += score.members[m].normalised / 4;
  EXPECT_NEAR(score.combined, rest / 2, 1e-9);
  EXPECT_TRUE(std::isnan(score.members.back().raw));
}

TEST_F(PairsTest, AreNotFittedWhereNobodyAsksForThem) {
  const auto detector = Detector::Fit(fleet_.Schema(), samples_, [] {
    FitOptions options = Options();
    options.members.pop_back();
    return options;
  }());
  ASSERT_TRUE(detector.ok()) << detector.status();
  std::vector<double> row = Row();
  row[kOthers - 1] = 0;
  EXPECT_EQ(detector->ScoreRow(row, "cnn")->members.back().member, "knn");
  FitOptions alone = Options();
  alone.members = {"pairs"};
  EXPECT_THAT(std::string(Detector::Fit(fleet_.Schema(), samples_, alone).status().message()),
              HasSubstr("nothing to fit"));
}

TEST_F(PairsTest, SavingKeepsThem) {
  const TemporaryFolder folder;
  ASSERT_TRUE(detector_->Save(folder.path()).ok());
  const auto loaded = Detector::Load(folder.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  std::vector<double> row = Row();
  row[kOthers - 1] = 0;
  row[kOthers + 3] = 0.6;
  EXPECT_EQ(loaded->ScoreRow(row, "cnn")->combined, ScoreOf(row).combined);

  const std::string file = folder / "detector_state.json";
  const auto state = nlohmann::json::parse(ReadAll(file));
  const auto refused = [&](const std::function<void(nlohmann::json&)>& change, const std::string& text) {
    nlohmann::json changed = state;
    change(changed);
    WriteAll(file, changed.dump());
    EXPECT_THAT(std::string(Detector::Load(folder.path()).status().message()), HasSubstr(text));
  };
  const auto view = [](nlohmann::json& json, const std::string& name) -> nlohmann::json& {
    for (auto& family : json["families"]) {
      if (family["view"] == name) return family;
    }
    return json;
  };
  refused([&](auto& json) { view(json, "behaviour")["members"]["pairs"]["normaliser"]["spread"] = 0; },
          ".members.pairs.normaliser.spread: is not positive");
  refused(
      [&](auto& json) {
        view(json, "still")["members"]["pairs"] = {{"normaliser", nullptr}};
      },
      "stands beside another view than behaviour");
  refused(
      [&](auto& json) {
        view(json, "behaviour")["members"]["pears"] = {{"normaliser", nullptr}};
      },
      ".members.pears: is no member");
}

TEST_F(PairsTest, ABatchHasThemToo) {
  std::vector<float> rows;
  std::vector<std::vector<double>> doubles;
  for (size_t i = 0; i < 4; ++i) {
    std::vector<double> row = Row();
    row[kOthers - 1] = 0;
    if (i == 2) row[kOthers + 11] = 0.9;
    for (double& v : row) v = static_cast<float>(v);
    rows.insert(rows.end(), row.begin(), row.end());
    doubles.push_back(row);
  }
  BatchItem item;
  item.detector = detector_.get();
  item.family = "cnn";
  item.rows = {rows.data(), 4, kColumns};
  item.detail = Detail::kDrivers;
  BatchItem* items[] = {&item};
  ASSERT_TRUE(ScoreBatch(items).ok());
  EXPECT_THAT(MembersOf(item), ElementsAre("forest", "svm", "mahalanobis", "knn", "pairs"));
  for (size_t i = 0; i < 4; ++i) {
    const Score want = ScoreOf(doubles[i]);
    EXPECT_NEAR(item.scores.combined[i], want.combined, 1e-9);
    EXPECT_NEAR(item.scores.members[i * 5 + 4], want.members.back().raw, 1e-9);
  }
  EXPECT_EQ(item.scores.drivers[2].front().feature, kOthers + 11);
}

}  // namespace
}  // namespace driftseal::detector
