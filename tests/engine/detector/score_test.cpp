#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "engine/detector/detector.h"
#include "fleet.h"

namespace driftseal::detector {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kCols = 12;

/// 80 models of family a, 80 of b, 3 of c; column 11 is 7 in all of them.
class ScoreTest : public testing::Test {
 protected:
  ScoreTest() : fleet_(kCols) {
    std::vector<Sample> samples;
    for (const auto& [family, n] : {std::pair{"a", 80}, std::pair{"b", 80}, std::pair{"c", 3}}) {
      for (Sample& sample : fleet_.Samples(static_cast<size_t>(n), family)) {
        sample.values[11] = 7;
        samples.push_back(sample);
      }
    }
    auto detector = Detector::Fit(fleet_.Schema(), samples, WithoutAutoencoder());
    if (!detector.ok()) std::abort();
    detector_.emplace(*std::move(detector));
  }
  std::vector<double> Clean() {
    auto row = fleet_.Row();
    row[11] = 7;
    return row;
  }
  Score Of(const std::vector<double>& row, const std::string& family = "a") {
    auto score = detector_->ScoreRow(row, family);
    EXPECT_TRUE(score.ok()) << score.status();
    return *std::move(score);
  }
  Fleet fleet_;
  std::optional<Detector> detector_;
};

TEST_F(ScoreTest, CleanRowIsUnremarkable) {
  int low = 0;
  for (int i = 0; i < 100; ++i) {
    const Score score = Of(Clean());
    EXPECT_EQ(score.basis, Basis::kFamily);
    EXPECT_EQ(score.family, "a");
    EXPECT_EQ(score.fitted_on, 40u);
    EXPECT_EQ(score.calibrated_on, 40u);
    EXPECT_EQ(score.members.size(), 4u);
    EXPECT_EQ(score.remark, "");
    ASSERT_TRUE(score.p_value);
    low += *score.p_value < 0.1;
  }
  EXPECT_LT(low, 35);
}

TEST_F(ScoreTest, ChangedColumnIsFoundAndNamed) {
  auto row = Clean();
  row[4] += 40;
  const Score score = Of(row);
  EXPECT_DOUBLE_EQ(*score.p_value, 1.0 / 41);
  ASSERT_FALSE(score.drivers.empty());
  EXPECT_LE(score.drivers.size(), 5u);
  const Driver& driver = score.drivers[0];
  EXPECT_EQ(driver.feature, 4u);
  EXPECT_EQ(driver.value, row[4]);
  EXPECT_GT(driver.robust_z, 10);
  EXPECT_NEAR(driver.median, 0, 2);
  EXPECT_GT(driver.share, 0.4);
  double shares = 0;
  for (size_t d = 0; d < score.drivers.size(); ++d) {
    shares += score.drivers[d].share;
    if (d > 0) {
      EXPECT_LE(score.drivers[d].share, score.drivers[d - 1].share);
    }
  }
  EXPECT_LE(shares, 1 + 1e-9);
}

TEST_F(ScoreTest, BrokenCorrelationIsFoundThoughEachColumnIsOrdinary) {
  // Every column within its range, but not together: what Mahalanobis is there for.
  auto row = Clean();
  for (size_t c = 0; c < 11; ++c) row[c] = c % 2 == 0 ? 1.5 : -1.5;
  EXPECT_LT(*Of(row).p_value, 0.1);
}

TEST_F(ScoreTest, DepartureFromAConstantIsScoredAndNamed) {
  int worst = 0;
  for (int i = 0; i < 20; ++i) {
    auto row = Clean();
    const Score before = Of(row);
    row[11] = 8;
    const Score after = Of(row);
    EXPECT_DOUBLE_EQ(after.combined, before.combined + 3);
    EXPECT_LE(*after.p_value, *before.p_value);
    EXPECT_THAT(after.remark, AllOf(HasSubstr("f11"), HasSubstr("all 40 fitted models")));
    const auto driver =
        std::find_if(after.drivers.begin(), after.drivers.end(), [](auto& d) { return d.feature == 11; });
    ASSERT_NE(driver, after.drivers.end());
    EXPECT_EQ(driver->median, 7);
    EXPECT_EQ(driver->value, 8);
    EXPECT_GT(driver->robust_z, 0);
    worst += *after.p_value <= 2.0 / 41;
  }
  EXPECT_GT(worst, 15);
}

TEST_F(ScoreTest, MissingColumnsAreImputedAndNamed) {
  auto row = Clean();
  row[2] = row[5] = kNan;
  const Score score = Of(row);
  EXPECT_TRUE(score.p_value);
  EXPECT_THAT(score.remark, AllOf(HasSubstr("2 of 11 columns"), HasSubstr("f2, f5"), Not(HasSubstr("uncalibrated"))));
  for (const Driver& driver : score.drivers) EXPECT_FALSE(std::isnan(driver.value));
}

TEST_F(ScoreTest, MostlyMissingRowHasNoPValue) {
  const Score score = Of(std::vector<double>(kCols, kNan));
  EXPECT_FALSE(score.p_value);
  EXPECT_THAT(score.remark, AllOf(HasSubstr("more than half"), HasSubstr("and 6 more")));
  EXPECT_TRUE(std::isfinite(score.combined));
}

TEST_F(ScoreTest, SmallFamilyIsScoredByTheGlobalDetector) {
  const Score score = Of(Clean(), "c");
  EXPECT_EQ(score.basis, Basis::kGlobal);
  EXPECT_EQ(score.family, kGlobalKey);
  EXPECT_TRUE(score.p_value);
  EXPECT_EQ(score.calibrated_on, 81u);
  EXPECT_THAT(score.remark, HasSubstr("had 3 models, and 20 are needed"));
  auto poisoned = Clean();
  poisoned[1] -= 50;
  EXPECT_DOUBLE_EQ(*Of(poisoned, "c").p_value, 1.0 / 82);
}

TEST_F(ScoreTest, UnseenFamilyHasNoPValueAndNoGuarantee) {
  const Score score = Of(Clean(), "d");
  EXPECT_EQ(score.basis, Basis::kUnseenFamily);
  EXPECT_FALSE(score.p_value);
  EXPECT_THAT(score.remark, HasSubstr("no model of this family"));
  EXPECT_TRUE(std::isfinite(score.combined));
  EXPECT_EQ(detector_->GuaranteeFor("d", 0.05, 0.05).available, 0u);
  EXPECT_FALSE(detector_->GuaranteeFor("d", 0.05, 0.05).threshold);
  const Guarantee global = detector_->GuaranteeFor("c", 0.05, 0.05);
  EXPECT_EQ(global.available, 81u);
  EXPECT_TRUE(global.threshold);
  EXPECT_FALSE(detector_->GuaranteeFor("a", 0.05, 0.05).threshold);
}

TEST_F(ScoreTest, RefusesRowsOfAnotherShapeAndInfinities) {
  EXPECT_EQ(detector_->ScoreRow(std::vector<double>(3), "a").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(detector_->ScoreRow({}, "a").status().code(), absl::StatusCode::kInvalidArgument);
  auto row = Clean();
  row[6] = std::numeric_limits<double>::infinity();
  EXPECT_THAT(std::string(detector_->ScoreRow(row, "a").status().message()), HasSubstr("f6 is infinite"));
  EXPECT_FALSE(detector_->ScoreMembers(row, "a").ok());
  row[6] = 1e300;  // far, but a number
  EXPECT_DOUBLE_EQ(*Of(row).p_value, 1.0 / 41);
}

TEST_F(ScoreTest, MembersAloneAreThoseOfTheScore) {
  const auto row = Clean();
  const auto members = detector_->ScoreMembers(row, "b");
  ASSERT_TRUE(members.ok());
  const Score score = Of(row, "b");
  double sum = 0;
  for (size_t m = 0; m < members->size(); ++m) {
    EXPECT_EQ((*members)[m].member, score.members[m].member);
    EXPECT_EQ((*members)[m].raw, score.members[m].raw);
    sum += (*members)[m].normalised;
  }
  EXPECT_NEAR(score.combined, sum / 4, 1e-12);
}

TEST_F(ScoreTest, RefusesAnotherSchema) {
  EXPECT_TRUE(detector_->CheckSchema(fleet_.Schema()).ok());
  SchemaId other = fleet_.Schema();
  other.version = 2;
  const absl::Status status = detector_->CheckSchema(other);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("test version 1"), HasSubstr("test version 2")));
  other = fleet_.Schema();
  other.digest = "else";
  EXPECT_FALSE(detector_->CheckSchema(other).ok());
}

TEST_F(ScoreTest, ThreadsShareADetector) {
  std::vector<std::vector<double>> rows;
  std::vector<double> expected;
  for (int i = 0; i < 50; ++i) {
    rows.push_back(Clean());
    expected.push_back(Of(rows.back()).combined);
  }
  std::vector<std::jthread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < rows.size(); ++i) wrong += detector_->ScoreRow(rows[i], "a")->combined != expected[i];
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace driftseal::detector
