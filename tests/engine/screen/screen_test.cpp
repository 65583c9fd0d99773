#include "engine/screen/screen.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/screen/report.h"
#include "gmock/gmock.h"
#include "tests/support/model_files.h"
#include "tests/support/temp_folder.h"
#include "tests/support/torch_zip.h"

namespace driftseal::screen {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempFolder;

std::vector<std::string> Kinds(const Result& result) {
  std::vector<std::string> kinds;
  for (const Signal& signal : result.verdict.signals) kinds.push_back(signal.kind);
  return kinds;
}

// A detector for bare small MLPs, without the autoencoder (that needs another process), fitted once.
class ScreenerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const TempFolder fleet;
    std::vector<detector::Sample> samples;
    const absl::StatusOr<artifact::Root> root = artifact::Root::Open(fleet.string());
    for (uint64_t i = 0; i < 80; ++i) {
      const std::string name = absl::StrCat("m", i, ".safetensors");
      fleet.Write(name, testing::Safetensors(testing::SmallMlp(), i));
      const absl::StatusOr<Fingerprinted> read = FingerprintOf({name, true}, *root, {});
      ASSERT_TRUE(read.ok()) << read.status();
      samples.push_back({name, read->fingerprint.family.Key(), RowOf(read->fingerprint)});
    }
    detector::FitOptions options;
    options.members = {"forest", "svm", "mahalanobis", "knn"};
    absl::StatusOr<detector::Detector> fitted = detector::Detector::Fit(ModelSchemaId(), samples, options);
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    detector_ = new detector::Detector(*std::move(fitted));
  }
  static void TearDownTestSuite() {
    delete detector_;
    detector_ = nullptr;
  }

  Result Screen(const std::string& path, Mode mode = Mode::kVerify, bool only_eligible = false,
                bool with_detector = true) {
    const absl::StatusOr<artifact::Root> root = artifact::Root::Open(folder_.string());
    const Screener screener(&*root, with_detector ? detector_ : nullptr, mode, Policy(), only_eligible);
    return screener.Screen({path, !IsMetaPath(path)});
  }
  void WriteMeta(const std::string& name, const nlohmann::ordered_json& meta) { folder_.Write(name, meta.dump(2)); }
  // A meta file without domain and task, so that its family is that of the bare file.
  static nlohmann::ordered_json BareMeta(const std::string& model) {
    return {{"model_name", "m"}, {"artifacts", {{"model_path", model}}}};
  }

  static detector::Detector* detector_;
  TempFolder folder_;
};
detector::Detector* ScreenerTest::detector_ = nullptr;

TEST_F(ScreenerTest, ACleanModelOfTheFamilyPassesWithItsScoreAsEvidence) {
  size_t passed = 0;
  for (uint64_t seed = 1000; seed < 1040; ++seed) {
    folder_.Write("a.safetensors", testing::Safetensors(testing::SmallMlp(), seed));
    const Result result = Screen("a.safetensors");
    ASSERT_TRUE(result.error.ok()) << result.error;
    ASSERT_THAT(Kinds(result), ElementsAre("score", "not-run"));
    EXPECT_EQ(result.model_name, "a");
    EXPECT_EQ(result.verdict.signals[0].evidence["calibrated_on"], 40);
    passed += result.verdict.outcome == Outcome::kPass;
  }
  // alpha = 5 %: of 40 clean models 2 are flagged on average, more than 8 with probability < 0.001.
  EXPECT_GE(passed, 32u);
}

TEST_F(ScreenerTest, AnAlteredHeadIsFlaggedAndTheDriverIsAHeadOrWeightFeature) {
  folder_.Write("a.safetensors", testing::Safetensors(testing::SmallMlp(), 2000, {.head_scale = 30}));
  const Result result = Screen("a.safetensors");
  EXPECT_EQ(result.verdict.outcome, Outcome::kReview) << "40 calibration models cannot give p <= 0.01";
  ASSERT_TRUE(result.score && result.score->p_value);
  EXPECT_DOUBLE_EQ(*result.score->p_value, 1.0 / 41);
  ASSERT_FALSE(result.score->drivers.empty());
  EXPECT_GT(std::abs(result.score->drivers[0].robust_z), 5);
}

TEST_F(ScreenerTest, AnotherArchitectureIsInconclusive) {
  folder_.Write("a.safetensors", testing::Safetensors(testing::WideMlp(), 1));
  const Result result = Screen("a.safetensors");
  EXPECT_EQ(result.verdict.outcome, Outcome::kInconclusive);
  EXPECT_THAT(Kinds(result), ElementsAre("unseen-family", "not-run"));
}

TEST_F(ScreenerTest, TheSameWeightsWithOtherRecordedDigestAreQuarantined) {
  const std::string bytes = testing::Safetensors(testing::SmallMlp(), 3);
  folder_.Write("a.safetensors", bytes);
  nlohmann::ordered_json meta = BareMeta("a.safetensors");
  meta["fingerprint"]["model_sha256"] = testing::Sha256Hex(bytes);
  WriteMeta("a.meta.json", meta);
  EXPECT_THAT(Kinds(Screen("a.meta.json")), ::testing::Contains("digest-match"));
  folder_.Write("a.safetensors", testing::Safetensors(testing::SmallMlp(), 4));
  const Result swapped = Screen("a.meta.json");
  EXPECT_EQ(swapped.verdict.outcome, Outcome::kQuarantine);
  EXPECT_EQ(swapped.verdict.signals[0].kind, "digest-mismatch");
}

TEST_F(ScreenerTest, ScoreModeGivesTheDetectorsWordAlone) {
  folder_.Write("a.safetensors", testing::Safetensors(testing::SmallMlp(), 3));
  nlohmann::ordered_json meta = BareMeta("a.safetensors");
  meta["fingerprint"]["model_sha256"] = std::string(64, '0');
  WriteMeta("a.meta.json", meta);
  const Result result = Screen("a.meta.json", Mode::kScore);
  EXPECT_THAT(Kinds(result), ElementsAre("score", "not-run"));
}

TEST_F(ScreenerTest, WithoutADetectorOnlyIntegrityIsCheckedAndNothingPasses) {
  const std::string bytes = testing::Safetensors(testing::SmallMlp(), 3);
  folder_.Write("a.safetensors", bytes);
  nlohmann::ordered_json meta = BareMeta("a.safetensors");
  meta["fingerprint"]["model_sha256"] = testing::Sha256Hex(bytes);
  WriteMeta("a.meta.json", meta);
  const Result result = Screen("a.meta.json", Mode::kVerify, false, false);
  EXPECT_EQ(result.verdict.outcome, Outcome::kInconclusive);
  EXPECT_THAT(Kinds(result), ElementsAre("no-detector", "digest-match"));
}

TEST_F(ScreenerTest, OnlyEligibleSkipsTheOthersAndTakesBareModels) {
  folder_.Write("a.safetensors", testing::Safetensors(testing::SmallMlp(), 3));
  nlohmann::ordered_json meta = BareMeta("a.safetensors");
  WriteMeta("unknown.meta.json", meta);
  meta["promotion"]["eligible"] = false;
  WriteMeta("no.meta.json", meta);
  meta["promotion"]["eligible"] = true;
  WriteMeta("yes.meta.json", meta);
  EXPECT_TRUE(Screen("no.meta.json", Mode::kVerify, true).skipped);
  EXPECT_TRUE(Screen("unknown.meta.json", Mode::kVerify, true).skipped);
  EXPECT_FALSE(Screen("yes.meta.json", Mode::kVerify, true).skipped);
  EXPECT_FALSE(Screen("a.safetensors", Mode::kVerify, true).skipped);
  EXPECT_FALSE(Screen("no.meta.json", Mode::kVerify, false).skipped);
}

TEST_F(ScreenerTest, AHostilePickleIsQuarantinedByName) {
  folder_.Write("a.pt", testing::HostileTorchArchive("touch /tmp/never"));
  const Result result = Screen("a.pt");
  EXPECT_EQ(result.verdict.outcome, Outcome::kQuarantine);
  EXPECT_EQ(result.verdict.signals[0].kind, "refused-file");
  EXPECT_THAT(result.verdict.signals[0].text, HasSubstr("system"));
}

TEST_F(ScreenerTest, AMissingModelFileIsNotScoredAndNoPass) {
  WriteMeta("a.meta.json", BareMeta("gone.safetensors"));
  const Result result = Screen("a.meta.json");
  EXPECT_EQ(result.verdict.outcome, Outcome::kInconclusive);
  EXPECT_THAT(Kinds(result), ::testing::Contains("missing-file"));
}

TEST_F(ScreenerTest, AMetaFileThatCannotBeUsedIsAnErrorWithItsName) {
  folder_.Write("a.meta.json", "{");
  EXPECT_THAT(std::string(Screen("a.meta.json").error.message()), HasSubstr("a.meta.json"));
  EXPECT_TRUE(absl::IsNotFound(Screen("b.meta.json").error));
}

TEST(ModelSchemaId, HasTheColumnsOfTheFingerprint) {
  const detector::SchemaId id = ModelSchemaId();
  EXPECT_EQ(id.features.size(), fingerprint::ModelSchema().features.size());
  EXPECT_EQ(id.digest, fingerprint::ModelSchema().digest);
}

}  // namespace
}  // namespace driftseal::screen
