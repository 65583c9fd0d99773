#include "engine/screen/retrain_plan.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support/temp_folder.h"

namespace driftseal::screen {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::TempFolder;

Signal FileSignal(const std::string& kind, Severity severity, const std::string& role = "model") {
  return {kind, severity, "what was found", {{"role", role}, {"path", "m.safetensors"}}};
}

Signal ScoreOf(Severity severity) {
  return {"score",
          severity,
          "out of family: p = 0.01",
          {{"alpha", severity == Severity::kCritical ? 0.01 : 0.05}, {"drivers", {{{"feature", "head.norm"}}}}}};
}

class RetrainPlanTest : public ::testing::Test {
 protected:
  RetrainPlan Plan(std::vector<Signal> signals, const std::string& path = "models/m.meta.json") {
    Result result;
    result.path = path;
    result.fingerprint.family = {"vision", "classification", "abcd"};
    result.fingerprint.files = files_;
    result.verdict = Decide(std::move(signals));
    const auto root = artifact::Root::Open(folder_.string());
    return PlanRetraining(result, *root);
  }
  static std::vector<std::string> Actions(const RetrainPlan& plan) {
    std::vector<std::string> actions;
    for (const Step& step : plan.steps) actions.push_back(step.action);
    return actions;
  }
  static Step Of(const RetrainPlan& plan, const std::string& action) {
    const auto step =
        std::find_if(plan.steps.begin(), plan.steps.end(), [&](const Step& s) { return s.action == action; });
    return step == plan.steps.end() ? Step{"missing", "", {}, ""} : *step;
  }
  const TempFolder folder_;
  std::vector<fingerprint::FileEvidence> files_;
};

TEST_F(RetrainPlanTest, APassAsksForNothing) {
  const RetrainPlan plan = Plan({{"digest-match", Severity::kInfo, "", {}}, ScoreOf(Severity::kInfo)});
  EXPECT_THAT(Actions(plan), ElementsAre("none"));
  EXPECT_FALSE(plan.retrain);
}

// Every kind of signal in docs/verdict.md that asks for something, alone.
TEST_F(RetrainPlanTest, EachKindOfSignalHasItsStep) {
  const std::map<std::string, std::pair<Signal, std::string>> kinds = {
      {"digest-mismatch", {FileSignal("digest-mismatch", Severity::kCritical), "restore-artifact"}},
      {"refused-file", {FileSignal("refused-file", Severity::kCritical), "resave-model"}},
      {"malformed-file", {FileSignal("malformed-file", Severity::kConcern), "restore-artifact"}},
      {"limit-exceeded", {FileSignal("limit-exceeded", Severity::kConcern), "inspect-file"}},
      {"changed-while-read", {FileSignal("changed-while-read", Severity::kConcern), "restore-artifact"}},
      {"missing-file", {FileSignal("missing-file", Severity::kUnknown), "restore-artifact"}},
      {"unknown-format", {FileSignal("unknown-format", Severity::kUnknown), "resave-model"}},
      {"unreadable-file", {FileSignal("unreadable-file", Severity::kUnknown), "grant-access"}},
      {"score", {ScoreOf(Severity::kConcern), "audit-data"}},
      {"uncalibrated", {{"uncalibrated", Severity::kUnknown, "", {{"calibrated_on", 7}}}, "collect-more-models"}},
      {"unseen-family", {{"unseen-family", Severity::kUnknown, "", {}}, "collect-more-models"}},
      {"no-detector", {{"no-detector", Severity::kUnknown, "", {}}, "refit-detector"}},
      {"not-scored", {{"not-scored", Severity::kUnknown, "", {}}, "refit-detector"}},
      {"out-of-range", {{"out-of-range", Severity::kUnknown, "", {}}, "collect-more-models"}},
      {"behaviour-changed", {{"behaviour-changed", Severity::kConcern, "", {}}, "restore-artifact"}},
      {"not-run", {{"not-run", Severity::kUnknown, "", {}}, "enable-replay"}},
      {"not-run (model)", {{"not-run", Severity::kConcern, "", {}}, "inspect-file"}},
      {"prediction-scan",
       {{"prediction-scan", Severity::kInfo, "", {{"anomalous_share", 0.02}}}, "sanitize-predictions"}},
  };
  for (const auto& [kind, expected] : kinds) {
    const RetrainPlan plan = Plan({expected.first});
    EXPECT_THAT(Of(plan, expected.second).because, ElementsAre(kind.substr(0, kind.find(' '))));
    EXPECT_EQ(plan.steps.back().action, "verify-again") << kind;
    EXPECT_FALSE(plan.retrain) << kind << " alone is no reason";
    EXPECT_EQ(plan.steps.front().action == "stop-serving", expected.first.severity == Severity::kCritical) << kind;
    for (const Step& step : plan.steps) EXPECT_FALSE(step.text.empty()) << step.action;
  }
}

TEST_F(RetrainPlanTest, ACriticalScoreOfTheRightFileAsksForTraining) {
  const RetrainPlan plan = Plan({ScoreOf(Severity::kCritical)});
  EXPECT_TRUE(plan.retrain);
  EXPECT_THAT(Actions(plan), ElementsAre("stop-serving", "audit-data", "retrain", "verify-again"));
  EXPECT_THAT(Of(plan, "audit-data").text, HasSubstr("head.norm"));
  EXPECT_EQ(plan.steps.back().command, "driftseal verify models/m.meta.json");
}

TEST_F(RetrainPlanTest, AnAlteredFileIsRestoredFirst) {
  const RetrainPlan plan = Plan({ScoreOf(Severity::kCritical), FileSignal("digest-mismatch", Severity::kCritical)});
  EXPECT_FALSE(plan.retrain) << "the score is that of the altered file";
  EXPECT_THAT(Actions(plan), ElementsAre("stop-serving", "restore-artifact", "audit-data", "retrain", "verify-again"));
  EXPECT_THAT(Of(plan, "stop-serving").because, ElementsAre("score", "digest-mismatch"));
  EXPECT_THAT(Of(plan, "restore-artifact").text, HasSubstr("model m.safetensors"));
  // Of predictions it is another matter: the model is the one that was trained.
  EXPECT_TRUE(
      Plan({ScoreOf(Severity::kCritical), FileSignal("digest-mismatch", Severity::kCritical, "predictions")}).retrain);
}

TEST_F(RetrainPlanTest, AReviewLeavesItToTheAudit) {
  const RetrainPlan plan = Plan({ScoreOf(Severity::kConcern)});
  EXPECT_FALSE(plan.retrain);
  EXPECT_THAT(Of(plan, "retrain").text, HasSubstr("0.05"));
}

TEST_F(RetrainPlanTest, PredictionsAreCleanedWhereTheyLie) {
  files_ = {{"predictions", "p.csv", {}, {}, {}}};
  const Signal scan{"prediction-scan", Severity::kInfo, "2 % stand out", {{"anomalous_share", 0.0201}}};
  EXPECT_EQ(Of(Plan({scan}), "sanitize-predictions").command,
            "driftseal sanitize_predictions p.csv --contamination 0.021");
  folder_.Write("models/p.csv", "a\n1\n");
  EXPECT_EQ(Of(Plan({scan}), "sanitize-predictions").command,
            "driftseal sanitize_predictions models/p.csv --contamination 0.021");
  const Signal clean{"prediction-scan", Severity::kInfo, "none", {{"anomalous_share", 0.0}}};
  EXPECT_THAT(Actions(Plan({clean})), ElementsAre("none"));
}

TEST_F(RetrainPlanTest, DigestsAreRecordedOnlyOfWhatNothingSpeaksAgainst) {
  files_ = {{"model", "m.safetensors", {}, artifact::Digest(), {}}};
  EXPECT_EQ(Of(Plan({ScoreOf(Severity::kInfo)}), "record-digests").command,
            "driftseal backfill_hashes models/m.meta.json");
  EXPECT_EQ(Of(Plan({ScoreOf(Severity::kInfo)}, "m.safetensors"), "record-digests").command,
            "driftseal describe m.safetensors");
  EXPECT_THAT(Actions(Plan({ScoreOf(Severity::kConcern)})), Not(Contains("record-digests")));
  files_[0].recorded = artifact::Digest();
  EXPECT_THAT(Actions(Plan({ScoreOf(Severity::kInfo)})), ElementsAre("none"));
}

TEST_F(RetrainPlanTest, AModelThatCannotBeReadIsNotBlamedOnTheDetector) {
  const RetrainPlan plan =
      Plan({FileSignal("unknown-format", Severity::kUnknown), {"not-scored", Severity::kUnknown, "", {}}});
  EXPECT_THAT(Actions(plan), ElementsAre("resave-model", "verify-again"));
}

TEST_F(RetrainPlanTest, AnUnreadableMetaFileIsAllThatIsKnown) {
  Result result;
  result.path = "m.meta.json";
  result.error = absl::InvalidArgumentError("model_name: expected a string");
  const RetrainPlan plan = PlanRetraining(result, *artifact::Root::Open(folder_.string()));
  EXPECT_THAT(Actions(plan), ElementsAre("repair-meta-file"));
  EXPECT_THAT(plan.steps[0].text, HasSubstr("model_name"));
}

TEST(ShellWord, QuotesWhatAShellWouldRead) {
  EXPECT_EQ(ShellWord("models/a-b_1.json"), "models/a-b_1.json");
  EXPECT_EQ(ShellWord("a b"), "'a b'");
  EXPECT_EQ(ShellWord("$(rm x)'; y"), "'$(rm x)'\\''; y'");
  EXPECT_EQ(ShellWord("-rf"), "./-rf");
  EXPECT_EQ(ShellWord("--a b"), "'./--a b'");
  EXPECT_THAT(ShellWord("a\nb"), IsEmpty());
  EXPECT_THAT(ShellWord("\x1b[2J"), IsEmpty());
  EXPECT_THAT(ShellWord(""), IsEmpty());
}

}  // namespace
}  // namespace driftseal::screen
