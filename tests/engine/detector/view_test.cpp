#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/detector/batch.h"
#include "engine/detector/detector.h"
#include "fleet.h"

// Families that are judged by what their models do, where that was measured, and by their files otherwise.
namespace driftseal::detector {
namespace {

using testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kFiles = 4, kStill = 2, kMoving = 2, kBehaviour = kStill + kMoving;
constexpr size_t kColumns = kFiles + kBehaviour + 1;  // The last is a context column.

FitOptions Options() {
  FitOptions options = WithoutAutoencoder();
  options.uses.assign(kFiles, ColumnUse::kFiles);
  options.uses.insert(options.uses.end(), kStill, ColumnUse::kStill);
  options.uses.insert(options.uses.end(), kMoving, ColumnUse::kBehaviour);
  options.uses.push_back(ColumnUse::kContext);
  options.canary_sets = {{"digits", std::string(64, 'a')}};
  return options;
}

std::vector<double> WithoutBehaviour(std::vector<double> row) {
  std::fill(row.begin() + kFiles, row.end(), kNaN);
  return row;
}

class ViewTest : public testing::Test {
 protected:
  void SetUp() override {
    samples_ = fleet_.Samples(120, "cnn");
    const auto others = fleet_.Samples(40, "bare");
    for (Sample sample : others) {
      sample.values = WithoutBehaviour(sample.values);
      samples_.push_back(sample);
    }
    auto fitted = Detector::Fit(fleet_.Schema(), samples_, Options());
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    detector_ = std::make_unique<Detector>(*std::move(fitted));
  }
  Score ScoreOf(const std::vector<double>& row, const std::string& family = "cnn") {
    return detector_->ScoreRow(row, family).value();
  }

  Fleet fleet_{kColumns};
  std::vector<Sample> samples_;
  std::unique_ptr<Detector> detector_;
};

TEST_F(ViewTest, BehaviourDecidesWhereItWasMeasured) {
  std::vector<double> row = fleet_.Row();
  EXPECT_EQ(ScoreOf(row).view, View::kBehaviour);
  const double before = ScoreOf(row).combined;
  row[1] += 100;  // Files have no say in it.
  EXPECT_EQ(ScoreOf(row).combined, before);
  row[kFiles] += 100;
  const Score out = ScoreOf(row);
  EXPECT_LE(*out.p_value, 0.05);
  EXPECT_EQ(out.drivers.front().feature, kFiles);
}

TEST_F(ViewTest, FilesDecideWhereItWasNot) {
  std::vector<double> row = WithoutBehaviour(fleet_.Row());
  EXPECT_EQ(ScoreOf(row).view, View::kFiles);
  EXPECT_FALSE(ScoreOf(row).out_of_range.has_value());
  row[1] += 100;
  EXPECT_LE(*ScoreOf(row).p_value, 0.05);
  EXPECT_EQ(ScoreOf(fleet_.Row(), "bare").view, View::kFiles);
}

TEST_F(ViewTest, FamiliesTellTheirViews) {
  std::vector<std::pair<std::string, View>> views;
  for (const auto& family : detector_->families()) {
    views.emplace_back(family.key, family.view);
    const size_t columns[] = {kFiles, kBehaviour, kStill};
    EXPECT_EQ(family.features_used, columns[static_cast<size_t>(family.view)]) << family.key;
  }
  EXPECT_THAT(views, testing::ElementsAre(std::pair("bare", View::kFiles), std::pair("cnn", View::kFiles),
                                          std::pair("cnn", View::kBehaviour), std::pair("cnn", View::kStill),
                                          std::pair("*", View::kFiles)));
  EXPECT_TRUE(detector_->ReadsBehaviour("cnn"));
  EXPECT_FALSE(detector_->ReadsBehaviour("bare"));
}

TEST_F(ViewTest, BeyondTheRangeWhatHoldsStillDecides) {
  std::vector<double> row = fleet_.Row();
  row.back() = 0;
  EXPECT_FALSE(ScoreOf(row).out_of_range.has_value());
  row.back() = 1000;
  EXPECT_EQ(ScoreOf(row).view, View::kStill);
  const double combined = ScoreOf(row).combined;
  row[kFiles + kStill] += 100;  // Moves with the recipe: no say out of range.
  const Score out = ScoreOf(row);
  ASSERT_TRUE(out.out_of_range.has_value());
  EXPECT_EQ(out.out_of_range->feature, kColumns - 1);
  EXPECT_EQ(out.out_of_range->value, 1000);
  EXPECT_LT(out.out_of_range->high, 1000);
  EXPECT_EQ(out.combined, combined);
  row[kFiles] += 100;
  EXPECT_LE(*ScoreOf(row).p_value, 0.05);
}

TEST_F(ViewTest, SavingKeepsViewsRangesAndSets) {
  const TemporaryFolder folder;
  ASSERT_TRUE(detector_->Save(folder.path()).ok());
  const auto loaded = Detector::Load(folder.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->canary_sets().size(), 1u);
  EXPECT_EQ(loaded->canary_sets()[0].name, "digits");
  std::vector<double> row = fleet_.Row();
  row.back() = -1000;
  const Score mine = ScoreOf(row), theirs = loaded->ScoreRow(row, "cnn").value();
  EXPECT_EQ(theirs.view, View::kStill);
  EXPECT_EQ(theirs.combined, mine.combined);
  EXPECT_EQ(theirs.out_of_range->low, mine.out_of_range->low);
}

TEST_F(ViewTest, ABatchIsJudgedAsItsRows) {
  std::vector<float> rows;
  std::vector<std::vector<double>> doubles;
  for (int i = 0; i < 3; ++i) {
    doubles.push_back(fleet_.Row());
    for (double& v : doubles.back()) v = static_cast<float>(v);
    rows.insert(rows.end(), doubles.back().begin(), doubles.back().end());
  }
  BatchItem item;
  item.detector = detector_.get();
  item.family = "cnn";
  item.rows = {rows.data(), 3, kColumns};
  BatchItem* items[] = {&item};
  ASSERT_TRUE(ScoreBatch(items).ok());
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(item.scores.combined[i], ScoreOf(doubles[i]).combined, 1e-9);
}

TEST_F(ViewTest, UsesMustFitTheSchema) {
  FitOptions options = Options();
  options.uses.pop_back();
  const auto detector = Detector::Fit(fleet_.Schema(), samples_, options);
  EXPECT_EQ(detector.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(detector.status().message()), HasSubstr("uses has 8 entries; the schema has 9 columns"));
}

}  // namespace
}  // namespace driftseal::detector
