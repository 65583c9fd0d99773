#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/canary/set_files.h"
#include "engine/screen/canary_sets.h"
#include "engine/screen/reference.h"
#include "engine/screen/report.h"
#include "engine/screen/screen.h"
#include "gmock/gmock.h"
#include "tests/support/fake_pool.h"
#include "tests/support/temp_folder.h"

// From models that are run (by a pool that only pretends to) to verdicts.
namespace driftseal::screen {
namespace {

using ::testing::Contains;
using testing::FakePool;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::RunnableModel;
using testing::RunnableSet;
using testing::TempFolder;

const Signal* Find(const Verdict& verdict, std::string_view kind) {
  for (const Signal& signal : verdict.signals) {
    if (signal.kind == kind) return &signal;
  }
  return nullptr;
}

canary::SetFile FileOf(const replay::CanarySet& set) {
  const std::string bytes = *replay::EncodeCanarySet(set);
  const std::byte* begin = reinterpret_cast<const std::byte*>(bytes.data());
  return *canary::ReadSet(artifact::Source::FromBytes("s.safetensors", {begin, begin + bytes.size()}));
}

// A detector that knows what 240 models do, fitted once; without the autoencoder, which needs another process.
class BehaviourTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const TempFolder fleet;
    std::vector<Subject> subjects;
    for (uint64_t i = 0; i < 240; ++i) {
      subjects.push_back({absl::StrCat("m", i, ".json"), true});
      // A few reference models cannot be run: they stay in the view of the files.
      fleet.Write(subjects.back().path, RunnableModel(i, i < 3 ? "hang" : i == 3 ? "crash" : ""));
    }
    const absl::StatusOr<artifact::Root> root = artifact::Root::Open(fleet.string());
    const std::vector<canary::SetFile> sets = {FileOf(RunnableSet())};
    const std::shared_ptr<const canary::Prober> prober = MakeProber(std::make_shared<FakePool>());
    ReferenceOptions options;
    options.prober = prober.get();
    options.threads = 2;
    absl::StatusOr<Reference> reference = ReadReference(*root, subjects, options);
    ASSERT_TRUE(reference.ok()) << reference.status();
    detector::FitOptions fit;
    fit.members = {"forest", "svm", "mahalanobis", "knn"};
    fit.uses = ModelColumnUses();
    fit.canary_sets = ForDetector(sets);
    absl::StatusOr<detector::Detector> fitted = detector::Detector::Fit(ModelSchemaId(), reference->samples, fit);
    ASSERT_TRUE(fitted.ok()) << fitted.status();
    summary_ = new nlohmann::ordered_json(FitSummary(*fitted, *reference, sets, 0.05, 0.05));
    detector_ = new detector::Detector(*std::move(fitted));
  }
  static void TearDownTestSuite() {
    delete detector_;
    delete summary_;
  }

  static std::shared_ptr<const canary::Prober> MakeProber(std::shared_ptr<canary::ReplayPool> pool) {
    return std::make_shared<canary::Prober>(std::move(pool), std::vector<replay::CanarySet>{RunnableSet()},
                                            replay::ProbeOptions());
  }

  Result Screen(const std::string& model, bool run = true, std::string why_not = "") {
    folder_.Write("a.json", model);
    const absl::StatusOr<artifact::Root> root = artifact::Root::Open(folder_.string());
    Replaying replaying{run ? MakeProber(std::make_shared<FakePool>()) : nullptr, std::move(why_not)};
    return Screener(&*root, detector_, Mode::kVerify, Policy(), false, std::move(replaying)).Screen({"a.json", true});
  }

  static detector::Detector* detector_;
  static nlohmann::ordered_json* summary_;
  TempFolder folder_;
};
detector::Detector* BehaviourTest::detector_ = nullptr;
nlohmann::ordered_json* BehaviourTest::summary_ = nullptr;

TEST_F(BehaviourTest, CleanModelsPassAndTheScoreSaysWhatItRestsOn) {
  size_t flagged = 0;
  for (uint64_t seed = 1000; seed < 1040; ++seed) {
    const Result result = Screen(RunnableModel(seed));
    ASSERT_TRUE(result.score) << result.error;
    EXPECT_EQ(result.score->view, detector::View::kBehaviour);
    const Signal* score = Find(result.verdict, "score");
    if (score != nullptr) {
      EXPECT_THAT(score->text, HasSubstr("by its behaviour on 30 canary inputs"));
    }
    flagged += result.verdict.outcome != Outcome::kPass;
    const Signal* test = Find(result.verdict, "trigger-test");
    ASSERT_NE(test, nullptr);
    EXPECT_EQ(test->severity, Severity::kInfo);
    EXPECT_THAT(test->text, HasSubstr("no trigger collapses the model"));
  }
  EXPECT_LE(flagged, 8u);  // alpha = 5 %, see ScreenerTest.
}

TEST_F(BehaviourTest, AModelThatATriggerCollapsesIsQuarantinedWithTheTriggerAsEvidence) {
  const Result result = Screen(RunnableModel(2000, "collapse"));
  EXPECT_EQ(result.verdict.outcome, Outcome::kQuarantine);
  const Signal* test = Find(result.verdict, "trigger-test");
  ASSERT_NE(test, nullptr);
  EXPECT_THAT(test->text, HasSubstr("under the trigger \"columns 0\" 19 of 20 canary inputs of other classes (95 %) "
                                    "collapse into class 2"));
  EXPECT_EQ(test->evidence["target_class"], 2);
  EXPECT_EQ(test->evidence["cost_ms"]["sweep"], 4);
  ASSERT_EQ(test->evidence["columns"].size(), 1u);
  EXPECT_EQ(test->evidence["columns"][0]["column"], 1);
  EXPECT_LT(test->evidence["others_largest"], 0.2);
}

TEST_F(BehaviourTest, APassCarriesNoPictureOfATrigger) {
  for (uint64_t seed = 3000; seed < 3020; ++seed) {
    const Result result = Screen(RunnableModel(seed));
    if (result.verdict.outcome != Outcome::kPass) continue;
    EXPECT_FALSE(Find(result.verdict, "trigger-test")->evidence.contains("columns"));
    return;
  }
  FAIL() << "no model of 20 passed";
}

TEST_F(BehaviourTest, AModelThatCannotBeRunIsReviewedWhereItsFamilyCan) {
  for (const char* act : {"crash", "hang", "memory", "refuse"}) {
    const Result result = Screen(RunnableModel(4000, act));
    const Signal* signal = Find(result.verdict, "not-run");
    ASSERT_NE(signal, nullptr) << act;
    EXPECT_EQ(signal->severity, Severity::kConcern) << act;
    EXPECT_EQ(signal->evidence["cause"], "model") << act;
    EXPECT_NE(result.verdict.outcome, Outcome::kPass) << act;
    EXPECT_EQ(result.score->view, detector::View::kFiles) << act;
    EXPECT_EQ(Find(result.verdict, "trigger-test"), nullptr) << act;
  }
  EXPECT_THAT(Find(Screen(RunnableModel(4001, "crash")).verdict, "not-run")->text, HasSubstr("signal 11"));
}

TEST_F(BehaviourTest, WhatThisMachineCannotDoLeavesTheVerdictOpen) {
  const Result worker = Screen(RunnableModel(5000, "no-worker"));
  EXPECT_EQ(Find(worker.verdict, "not-run")->severity, Severity::kUnknown);
  EXPECT_EQ(Find(worker.verdict, "not-run")->evidence["cause"], "machine");
  const Result off = Screen(RunnableModel(5000), false, kNoReplay);
  EXPECT_THAT(Find(off.verdict, "not-run")->text, HasSubstr("no-replay"));
  EXPECT_NE(off.verdict.outcome, Outcome::kPass);
  EXPECT_THAT(Find(off.verdict, "score")->text, HasSubstr("by its files alone"));
}

TEST_F(BehaviourTest, TheFitTellsWhichModelsWereNotRunByReason) {
  const auto& behaviour = (*summary_)["behaviour"];
  EXPECT_EQ(behaviour["measured"], 236);
  EXPECT_EQ((*summary_)["models"], 240) << "those stay in the view of the files";
  ASSERT_EQ(behaviour["not_run"].size(), 2u);
  std::set<std::pair<std::string, int>> reasons;
  for (const auto& group : behaviour["not_run"]) reasons.emplace(group["reason"], group["models"]);
  EXPECT_THAT(reasons, Contains(std::pair<std::string, int>("the model ran for more than 60 s", 3)));
  EXPECT_EQ(behaviour["canary_sets"][0]["name"], "table");
  EXPECT_EQ(behaviour["canary_sets"][0]["inputs"], 30);
}

TEST_F(BehaviourTest, ReportsCarryTheView) {
  const auto entry = ToJson(Screen(RunnableModel(6000)));
  EXPECT_EQ(entry["score"]["view"], "behaviour");
  EXPECT_EQ(ToJson(Screen(RunnableModel(6000), false, kNoReplay))["score"]["view"], "files");
}

// Score and range as a detector gives them.
detector::Score Outside(double p, double combined) {
  detector::Score score;
  score.p_value = p;
  score.calibrated_on = 199;
  score.view = detector::View::kStill;
  score.calibration_largest = 2;
  score.combined = combined;
  score.out_of_range = detector::RangeNote{1, 4.1, 1.2, 2.9};
  return score;
}

TEST(OutOfRange, AnAlarmMustBeClear) {
  const detector::SchemaId schema{"s", 1, "d", {"a", "context.scale"}};
  const Signal calm = ScoreSignal(Outside(0.4, 0.5), schema, Policy());
  EXPECT_EQ(calm.kind, "score");
  EXPECT_EQ(calm.severity, Severity::kInfo);
  EXPECT_THAT(calm.text, HasSubstr("as far as that holds still"));
  EXPECT_THAT(calm.text, HasSubstr("context.scale = 4.1, the reference models have 1.2 to 2.9"));
  EXPECT_EQ(calm.evidence["out_of_range"]["feature"], "context.scale");
  const Signal doubtful = ScoreSignal(Outside(0.015, 1.9), schema, Policy());
  EXPECT_EQ(doubtful.kind, "out-of-range");
  EXPECT_EQ(doubtful.severity, Severity::kUnknown);
  const Signal alarm = ScoreSignal(Outside(0.005, 2.1), schema, Policy());
  EXPECT_EQ(alarm.kind, "score");
  EXPECT_EQ(alarm.severity, Severity::kCritical);
  EXPECT_THAT(alarm.text, HasSubstr("context.scale"));
}

TEST(CanarySetFiles, AreCopiedAndCheckedAgainstTheirDigests) {
  const TempFolder folder;
  const std::vector<canary::SetFile> sets = {FileOf(RunnableSet("one")), FileOf(RunnableSet("two"))};
  ASSERT_TRUE(canary::WriteSets(folder.string(), sets).ok());
  const std::vector<canary::SetId> ids = {sets[0].id, sets[1].id};
  const auto loaded = canary::LoadSets(folder.string(), ids);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)[1].set.inputs, sets[1].set.inputs);
  replay::CanarySet other = RunnableSet("two");
  other.inputs[0] += 1;
  folder.Write("canary/two.safetensors", *replay::EncodeCanarySet(other));
  const auto changed = canary::LoadSets(folder.string(), ids);
  EXPECT_EQ(changed.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(changed.status().message()), HasSubstr("two.safetensors: is not the canary set two"));
  const auto gone = canary::LoadSets(folder.string(), {{{"three", ids[0].sha256}}});
  EXPECT_THAT(std::string(gone.status().message()), HasSubstr("three"));
  EXPECT_EQ(canary::LoadSets(folder.string(), {{{"../two", ids[0].sha256}}}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(CanarySetFiles, TwoOfOneNameAreRefused) {
  const TempFolder folder;
  replay::CanarySet other = RunnableSet("one");
  other.inputs[0] += 1;
  folder.Write("a.safetensors", *replay::EncodeCanarySet(RunnableSet("one")));
  folder.Write("b.safetensors", *replay::EncodeCanarySet(other));
  const auto both = canary::ReadSets({{folder.string()}});
  EXPECT_EQ(both.status().code(), absl::StatusCode::kAlreadyExists) << both.status();
  EXPECT_THAT(std::string(both.status().message()), HasSubstr("b.safetensors"));
  replay::CanarySet hostile = RunnableSet("../x");
  folder.Write("c/c.safetensors", *replay::EncodeCanarySet(hostile));
  EXPECT_EQ(canary::ReadSets({{(folder.string() + "/c")}}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace driftseal::screen
