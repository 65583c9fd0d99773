#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/engine/app/fleet.h"

namespace driftseal::testing {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class VerifyTest : public FleetTest {};

TEST_F(VerifyTest, AWholeFleetGetsAReportByTheSchema) {
  for (const auto& [command, file] :
       {std::pair{"verify_all", "verification_report.json"}, {"score_all", "scoring_report.json"}}) {
    const TempFolder work;
    std::filesystem::copy(fleet().detector(), work / "driftseal_detector");
    const ProcessResult result = DriftsealIn(work, {command, fleet().models(), "--format", "json"});
    const ordered_json report = JsonOf(result, "report");
    EXPECT_EQ(work.Read(std::string("driftseal_detector/") + file), result.out);
    EXPECT_EQ(report["command"], command);
    EXPECT_EQ(report["detector"]["name"], "driftseal");
    EXPECT_EQ(report["policy"].dump(), R"({"alpha":0.05,"quarantine_alpha":0.01})");
    const ordered_json& summary = report["summary"];
    EXPECT_EQ(summary["models"], TrustedFleet::kModels);
    EXPECT_EQ(summary["error"], 0);
    EXPECT_EQ(summary["inconclusive"], 0);
    EXPECT_GE(summary["pass"], 100) << "what taught the detector is not far from it";
    EXPECT_THAT(result, ExitsWith(summary["pass"] == TrustedFleet::kModels ? 0 : 1));
    EXPECT_EQ(NamesIn(work / "driftseal_detector").size(), 3u) << "no journal is left";
  }
}

TEST_F(VerifyTest, TheTextCountsAndNamesTheReport) {
  const ProcessResult result = Screen("verify_all", fleet().models());
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("113 models: "), HasSubstr(" pass"), HasSubstr("report: "), HasSubstr("report.json")));
  EXPECT_THAT(result.err, IsEmpty());
  const ProcessResult all = Screen("verify_all", fleet().models(), {"--all"});
  EXPECT_THAT(all.out, AllOf(HasSubstr("VERDICT"), HasSubstr("small-mlp-7.safetensors"), HasSubstr("in family: p = ")));
}

TEST_F(VerifyTest, AnAlteredModelIsFlaggedAmongItsNeighbours) {
  folder_.Write("new/typical.safetensors", fleet().typical());
  folder_.Write("new/altered.safetensors", Safetensors(SmallMlp(), 500, {.head_scale = 40}));
  folder_.Write("new/noisy.safetensors", Safetensors(WideMlp(), 501, {.noise = 3}));
  const ProcessResult result = Screen("verify_all", "new");
  EXPECT_THAT(result, ExitsWith(1));
  EXPECT_THAT(result.out, AllOf(HasSubstr("altered.safetensors"), HasSubstr("noisy.safetensors"),
                                HasSubstr("out of family"), HasSubstr("robust deviations")));
  EXPECT_EQ(EntryOf("typical.safetensors")["verdict"], "pass");
  for (const char* name : {"altered.safetensors", "noisy.safetensors"}) {
    const ordered_json entry = EntryOf(name);
    EXPECT_THAT(entry["verdict"], ::testing::AnyOf("review", "quarantine"));
    const ordered_json evidence = SignalOf(entry, "score")["evidence"];
    EXPECT_LE(evidence["p_value"].get<double>(), 0.05);
    EXPECT_GE(evidence["calibrated_on"].get<int>(), 19);
    ASSERT_FALSE(evidence["drivers"].empty());
    EXPECT_GT(std::abs(evidence["drivers"][0]["robust_z"].get<double>()), 4);
    EXPECT_GE(entry["score"]["q_value"], entry["score"]["p_value"]);
  }
}

TEST_F(VerifyTest, OneModelsVerdictIsTheSameAloneAndInTheFleet) {
  folder_.Write("new/typical.safetensors", fleet().typical());
  folder_.Write("new/altered.safetensors", Safetensors(SmallMlp(), 500, {.head_scale = 40}));
  Screen("verify_all", "new");
  for (const auto& [name, code] : {std::pair{"typical.safetensors", 0}, {"altered.safetensors", 1}}) {
    const ordered_json alone = Verify(std::string("new/") + name, code);
    const ordered_json among = EntryOf(name);
    EXPECT_EQ(alone["verdict"], among["verdict"]);
    EXPECT_EQ(alone["score"]["combined"], among["score"]["combined"]);
    EXPECT_EQ(alone["score"]["p_value"], among["score"]["p_value"]);
  }
}

TEST_F(VerifyTest, TheTextOfOneModelNamesScoreFamilyAndFeatures) {
  folder_.Write("altered.safetensors", Safetensors(SmallMlp(), 500, {.head_scale = 40}));
  const ProcessResult result = Screen("verify", "altered.safetensors");
  EXPECT_THAT(result, ExitsWith(1));
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("altered  (altered.safetensors)"), HasSubstr("family   -/-/"), HasSubstr("p = "),
                    HasSubstr("autoencoder"), HasSubstr("knn"), HasSubstr("FAMILY MEDIAN")));
}

TEST_F(VerifyTest, AnUnseenArchitectureIsInconclusive) {
  folder_.Write("odd.safetensors", Safetensors({"odd", {{"w", {5, 7}}, {"b", {5}}}}, 1));
  const ordered_json entry = Verify("odd.safetensors", 4);
  EXPECT_EQ(entry["verdict"], "inconclusive");
  EXPECT_THAT(Kinds(entry), ElementsAre("unseen-family", "not-run"));
  EXPECT_EQ(entry["score"]["p_value"], nullptr);
  folder_.Write("new/odd.safetensors", folder_.Read("odd.safetensors"));
  folder_.Write("new/typical.safetensors", fleet().typical());
  EXPECT_THAT(Screen("verify_all", "new"), ExitsWith(4));
}

TEST_F(VerifyTest, ALevelThatTheCalibrationCannotGiveIsUncalibrated) {
  folder_.Write("a.safetensors", fleet().typical());
  const ProcessResult result = Screen("verify", "a.safetensors", {"--alpha", "0.001", "--format", "json"});
  EXPECT_THAT(result, ExitsWith(4));
  const ordered_json signal = SignalOf(JsonOf(result, "report#/$defs/model"), "uncalibrated");
  ASSERT_FALSE(signal.is_null());
  EXPECT_THAT(signal["text"].get<std::string>(), HasSubstr("999 are needed"));
}

// The detector's word alone: integrity is verify's.
TEST_F(VerifyTest, ScoreSaysNothingAboutDigests) {
  folder_.Write("a.safetensors", fleet().typical());
  ordered_json meta = BareMeta("a", "a.safetensors");
  meta["fingerprint"]["model_sha256"] = std::string(64, '2');
  folder_.Write("a.meta.json", meta.dump());
  EXPECT_THAT(Screen("score", "a.meta.json"), ExitsWith(0));
  EXPECT_THAT(Screen("verify", "a.meta.json"), ExitsWith(1));
}

TEST_F(VerifyTest, DescribeThenVerify) {
  folder_.Write("new/a.safetensors", fleet().typical());
  EXPECT_THAT(DriftsealIn(folder_, {"describe", "new"}), ExitsWith(0));
  EXPECT_THAT(Screen("verify_all", "new"), ExitsWith(0));
  EXPECT_EQ(Report()["models"].size(), 1u) << "the described model is not doubled";
  EXPECT_THAT(Kinds(EntryOf("a.safetensors.meta.json")), Contains("digest-match"));
  folder_.Write("new/a.safetensors", Safetensors(SmallMlp(), 3));
  EXPECT_THAT(Screen("verify_all", "new"), ExitsWith(1));
  EXPECT_EQ(EntryOf("a.safetensors.meta.json")["verdict"], "quarantine");
}

TEST_F(VerifyTest, TheReportOfOneModelGoesWhereAskedTo) {
  folder_.Write("a.safetensors", fleet().typical());
  const ProcessResult result = Screen("verify", "a.safetensors", {"--output-path", "one.json", "--format", "json"});
  EXPECT_EQ(folder_.Read("one.json"), result.out);
}

TEST_F(VerifyTest, ADetectorOfAnotherSchemaIsRefused) {
  const std::string detector = (folder_ / "detector").string();
  std::filesystem::copy(fleet().detector(), detector);
  ordered_json state = ordered_json::parse(folder_.Read("detector/detector_state.json"));
  state["schema"]["version"] = state["schema"]["version"].get<int>() + 1;
  state["schema"]["digest"] = std::string(64, 'd');
  folder_.Write("detector/detector_state.json", state.dump());
  for (const std::string command : {"verify_all", "score_all", "verify", "score"}) {
    const std::string path =
        command.ends_with("all") ? fleet().models() : fleet().models() + "/small-mlp-1.safetensors";
    const ProcessResult result = Driftseal({command, path, "--model-dir", detector});
    EXPECT_THAT(result, ExitsWith(3)) << command;
    EXPECT_THAT(result.err, AllOf(HasSubstr("schema"), HasSubstr("dddddddddddd"))) << command;
  }
  EXPECT_EQ(NamesIn(detector).size(), 2u) << "no report, no journal";
}

TEST_F(VerifyTest, ADamagedDetectorIsRefusedAndNotTakenForNone) {
  for (const auto& [name, bytes] :
       {std::pair{"detector_state.json", std::string("{")}, {"detector.safetensors", fleet().typical()}}) {
    const TempFolder work;
    std::filesystem::copy(fleet().detector(), work / "detector");
    work.Write(std::string("detector/") + name, bytes);
    const ProcessResult result = DriftsealIn(work, {"verify_all", fleet().models(), "--model-dir", "detector"});
    EXPECT_THAT(result, ExitsWith(3));
    EXPECT_THAT(result.err, HasSubstr(name));
  }
}

}  // namespace
}  // namespace driftseal::testing
