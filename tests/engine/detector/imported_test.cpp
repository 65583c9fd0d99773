#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/detector/detector.h"
#include "fleet.h"

// A detector that was trained in scikit-learn (imported/make.py) scores as scikit-learn does.
namespace driftseal::detector {
namespace {

const char kFolder[] = DRIFTSEAL_SOURCE_DIR "/tests/engine/detector/imported";

TEST(Imported, ScoresAsSklearnDoes) {
  const auto detector = Detector::Load(kFolder);
  ASSERT_TRUE(detector.ok()) << detector.status();
  const auto cases = nlohmann::json::parse(ReadAll(std::string(kFolder) + "/cases.json"));
  const auto rows = cases["rows"].get<std::vector<std::vector<double>>>();
  ASSERT_EQ(rows.size(), 30u);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto members = detector->ScoreMembers(rows[i], "any");
    ASSERT_TRUE(members.ok());
    ASSERT_EQ(members->size(), 3u);
    for (const MemberScore& member : *members) {
      const double expected = cases[member.member][i];
      // The promise is 1e-5 absolute; what is left is rounding, of numbers up to 1e3 for the autoencoder.
      EXPECT_NEAR(member.raw, expected, 1e-7 + 1e-12 * std::abs(expected)) << member.member << ", row " << i;
      EXPECT_TRUE(std::isnan(member.normalised));
    }
  }
}

TEST(Imported, IsUncalibratedAndSaysSo) {
  const auto detector = Detector::Load(kFolder);
  ASSERT_TRUE(detector.ok());
  const auto score = detector->ScoreRow(std::vector<double>(8, 5.0), "any");
  ASSERT_TRUE(score.ok());
  EXPECT_FALSE(score->p_value);
  EXPECT_TRUE(std::isnan(score->combined));
  EXPECT_EQ(score->members.size(), 3u);
  EXPECT_THAT(score->remark, testing::HasSubstr("uncalibrated: imported without calibration rows"));
  EXPECT_FALSE(detector->GuaranteeFor("any", 0.05, 0.05).threshold);
}

TEST(Imported, SavesAndLoads) {
  const auto detector = Detector::Load(kFolder);
  ASSERT_TRUE(detector.ok());
  TemporaryFolder folder;
  ASSERT_TRUE(detector->Save(folder.path()).ok());
  const auto again = Detector::Load(folder.path());
  ASSERT_TRUE(again.ok()) << again.status();
  const std::vector<double> row(8, 6.5);
  EXPECT_EQ((*again->ScoreMembers(row, "any"))[1].raw, (*detector->ScoreMembers(row, "any"))[1].raw);
}

}  // namespace
}  // namespace driftseal::detector
