#include <algorithm>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/app/fleet.h"
#include "tests/engine/app/live_engine.h"

// Every command with --engine says, writes and returns what it does without.
namespace driftseal::testing {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// Without what differs from run to run: how long it took.
std::string WithoutTimes(const std::string& text) {
  static const std::regex times(R"((\d+ h )?(\d+ min )?\d+(\.\d+)? (s|min)(, \d+ models/s)?)");
  return std::regex_replace(text, times, "TIME");
}

class RemoteTest : public FleetTest {
 protected:
  void SetUp() override {
    FleetTest::SetUp();
    WriteZoo(folder_);
  }

  // A model of each kind that a registry holds.
  void WriteZoo(const TempFolder& folder) const {
    const auto meta = [&](const std::string& name, const ordered_json& json) {
      folder.Write("zoo/" + name + ".meta.json", json.dump(2));
    };
    folder.Write("zoo/typical.safetensors", fleet().typical());
    folder.Write("zoo/altered.safetensors", Safetensors(SmallMlp(), 3, {.head_scale = 40}));
    folder.Write("zoo/bare/unseen.safetensors",
                 Safetensors({"other", {{"x.weight", {5, 7}}, {"y.weight", {3, 5}}}}, 1));
    folder.Write("zoo/bottleneck.safetensors", Safetensors(Bottleneck(), 9));
    folder.Write("zoo/broken.safetensors", "\x40");
    folder.Write("zoo/swapped.bin", Safetensors(SmallMlp(), 5));
    folder.Write("zoo/p.csv", PredictionsCsv(1));
    ordered_json swapped = BareMeta("swapped", "swapped.bin");
    swapped["artifacts"]["predictions_path"] = "p.csv";
    swapped["fingerprint"] = {{"model_sha256", std::string(64, '0')},
                              {"predictions_sha256", Sha256Hex(PredictionsCsv(1))}};
    meta("swapped", swapped);
    ordered_json typical = BareMeta("a \u202E name", "typical.safetensors");
    typical["promotion"] = {{"eligible", true}};
    meta("typical", typical);
    meta("lost", BareMeta("lost", "nowhere.safetensors"));
    meta("outside", BareMeta("outside", "../../../etc/passwd"));
    folder.Write("zoo/malformed.meta.json", "{\"model_name\": 7,");
    std::string deep = "zoo/deep";  // Deeper than is searched.
    for (int level = 0; level < 205; ++level) deep += "/d";
    folder.Write(deep + "/m.safetensors", fleet().typical());
  }

  const LiveEngine& engine() {
    if (engine_ == nullptr) engine_ = std::make_unique<LiveEngine>(folder_.string(), fleet().detector());
    return *engine_;
  }

  // The command in the artifact root, here and by the engine.
  ProcessResult Here(std::vector<std::string> arguments) const {
    if (arguments[0] != "sanitize_predictions") arguments.insert(arguments.end(), {"--root", "."});
    if (arguments[0].starts_with("score") || arguments[0].starts_with("verify")) {
      arguments.insert(arguments.end(), {"--model-dir", fleet().detector()});
    }
    return DriftsealIn(folder_, arguments);
  }
  ProcessResult There(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--engine", engine().address()});
    return DriftsealIn(elsewhere_, arguments);
  }
  void ExpectSame(const std::vector<std::string>& arguments) {
    const ProcessResult here = Here(arguments), there = There(arguments);
    EXPECT_EQ(WithoutTimes(there.out), WithoutTimes(here.out)) << arguments[0] << "\n" << there.err << here.err;
    EXPECT_EQ(there.code, here.code);
    EXPECT_THAT(here.out, Not(IsEmpty())) << here.err;
  }

  TempFolder elsewhere_;  // Where nothing of the models lies.
  std::unique_ptr<LiveEngine> engine_;
};

TEST_F(RemoteTest, OneModelReadsTheSame) {
  for (const std::string command : {"score", "verify"}) {
    for (const std::string model :
         {"typical.meta.json", "altered.safetensors", "bare/unseen.safetensors", "bottleneck.safetensors",
          "broken.safetensors", "swapped.meta.json", "lost.meta.json", "outside.meta.json"}) {
      const std::string path = "zoo/" + model;
      ExpectSame({command, path});
      ExpectSame({command, path, "--format", "json"});
      ExpectSame({command, "./" + path, "--alpha", "0.3", "--quarantine-alpha", "0.2"});
    }
  }
  const ProcessResult flagged = There({"verify", "zoo/altered.safetensors"});
  EXPECT_THAT(flagged, ExitsWith(1));
  EXPECT_THAT(flagged.out, AllOf(HasSubstr("out of family"), HasSubstr("ROBUST Z"))) << "drivers are told too";
}

TEST_F(RemoteTest, OneModelIsWrittenTheSame) {
  const std::vector<std::string> arguments = {"verify", "zoo/swapped.meta.json", "--output-path", "out.json"};
  EXPECT_EQ(Here(arguments).code, There(arguments).code);
  EXPECT_EQ(elsewhere_.Read("out.json"), folder_.Read("out.json"));
}

TEST_F(RemoteTest, AMetaFileThatCannotBeReadIsTheSameError) {
  for (const std::string path : {"zoo/malformed.meta.json"}) {
    const ProcessResult here = Here({"verify", path}), there = There({"verify", path});
    EXPECT_EQ(there.err, here.err);
    EXPECT_THAT(there, ExitsWith(3));
    EXPECT_EQ(here.code, 3);
  }
}

TEST_F(RemoteTest, FleetsReadTheSameAndTheirReportsAreTheSameBytes) {
  for (const std::string command : {"score_all", "verify_all"}) {
    int number = 0;
    for (const std::vector<std::string>& more :
         std::vector<std::vector<std::string>>{{},
                                               {"zoo"},
                                               {"zoo", "--all"},
                                               {"zoo/"},
                                               {"zoo", "--only-eligible"},
                                               {"zoo/bare", "zoo/typical.meta.json"},
                                               {"zoo", "--format", "json"},
                                               {"zoo", "--alpha", "0.4", "--meta-glob", "**/s*.meta.json"}}) {
      const std::string report = absl::StrCat("reports/", command, ++number, ".json");
      std::vector<std::string> arguments = {command, "--output-path", report};
      arguments.insert(arguments.begin() + 1, more.begin(), more.end());
      ExpectSame(arguments);
      EXPECT_EQ(elsewhere_.Read(report), folder_.Read(report)) << command << number;
      EXPECT_FALSE(elsewhere_.Exists(report + ".journal"));
      std::filesystem::remove_all(folder_ / "reports");
    }
  }
}

TEST_F(RemoteTest, ReportsAreByTheSchemaAndNameTheDetector) {
  const ProcessResult result = There({"verify_all", "zoo", "--format", "json", "--output-path", "report.json"});
  const ordered_json report = JsonOf(result, "report");
  EXPECT_EQ(report["detector"]["name"], "driftseal");
  EXPECT_EQ(report["summary"]["models"], report["models"].size());
  EXPECT_EQ(report["models"].size(), 10u);
  EXPECT_THAT(result, ExitsWith(1));
}

TEST_F(RemoteTest, AnEngineWithoutADetectorChecksIntegrity) {
  LiveEngine bare(folder_.string(), "");
  const ProcessResult result =
      DriftsealIn(elsewhere_, {"verify_all", "zoo", "--output-path", "r.json", "--engine", bare.address()});
  EXPECT_THAT(result.out, HasSubstr("No detector in the engine at " + bare.address()));
  const ProcessResult here =
      DriftsealIn(folder_, {"verify_all", "zoo", "--output-path", "r.json", "--root", ".", "--model-dir", "none"});
  EXPECT_EQ(elsewhere_.Read("r.json"), folder_.Read("r.json"));
  EXPECT_EQ(result.code, here.code);
  EXPECT_THAT(DriftsealIn(elsewhere_, {"score_all", "zoo", "--output-path", "s.json", "--engine", bare.address()}),
              ExitsWith(3));
}

TEST_F(RemoteTest, DigestsAreRecordedTheSame) {
  const TempFolder twin;
  WriteZoo(twin);
  LiveEngine other(twin.string(), fleet().detector());
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"backfill_hashes", "zoo", "--only-eligible"},
                                             {"backfill_hashes", "zoo", "--format", "json"},
                                             {"backfill_hashes"},
                                             {"backfill_hashes", "zoo", "--overwrite"}}) {
    std::vector<std::string> remote = arguments;
    remote.insert(remote.end(), {"--engine", other.address()});
    const ProcessResult here = Here(arguments), there = DriftsealIn(elsewhere_, remote);
    EXPECT_EQ(there.out, here.out) << there.err << here.err;
    EXPECT_EQ(there.code, here.code);
    for (const std::string& name : NamesIn(folder_ / "zoo")) {
      if (!name.ends_with(".json")) continue;
      EXPECT_EQ(twin.Read("zoo/" + name), folder_.Read("zoo/" + name)) << name;
    }
  }
}

TEST_F(RemoteTest, PredictionsAreSanitizedTheSame) {
  const std::string csv = PredictionsCsv(7, 60);
  folder_.Write("p.csv", csv);
  const TempFolder twin;
  twin.Write("p.csv", csv);
  LiveEngine other(twin.string(), "");
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"sanitize_predictions", "p.csv"},
           {"sanitize_predictions", "p.csv", "--overwrite", "--contamination", "0.2"},
           {"sanitize_predictions", "p.csv", "--output-path", "q.csv", "--format", "json", "--contamination", "0"}}) {
    std::vector<std::string> remote = arguments;
    remote.insert(remote.end(), {"--engine", other.address()});
    const ProcessResult here = Here(arguments), there = DriftsealIn(elsewhere_, remote);
    EXPECT_EQ(there.out, here.out) << there.err << here.err;
    EXPECT_EQ(there.code, here.code);
    for (const std::string& name : NamesIn(folder_.path())) {
      if (!name.ends_with(".csv")) continue;
      EXPECT_EQ(twin.Read(name), folder_.Read(name)) << name;
    }
  }
  const ProcessResult again = DriftsealIn(elsewhere_, {"sanitize_predictions", "p.csv", "--engine", other.address()});
  EXPECT_THAT(again, ExitsWith(3)) << "the output is there already";
  EXPECT_THAT(NamesIn(elsewhere_.path()), IsEmpty()) << "nothing is written here";
}

TEST_F(RemoteTest, AFitIsTheSameDetector) {
  TrustedFleet::WriteModels(folder_, "trusted");
  const std::string made = (folder_ / "made").string();
  const ProcessResult here = DriftsealIn(
      folder_, {"fit", "trusted", "--root", ".", "--model-dir", made, "--format", "json", "--detector-version", "7"});
  const ProcessResult there =
      There({"fit", "trusted", "--format", "json", "--detector-version", "7", "--name", "driftseal", "--activate"});
  EXPECT_EQ(there.out, here.out) << there.err << here.err;
  EXPECT_THAT(there, ExitsWith(0));
  // The digest in the header of a report is over the detector's bytes.
  const std::vector<std::string> verify = {"verify_all", "zoo", "--output-path", "after.json"};
  DriftsealIn(folder_, {"verify_all", "zoo", "--root", ".", "--model-dir", made, "--output-path", "after.json"});
  There({"verify_all", "zoo", "--output-path", "after.json", "--detector", "driftseal@7"});
  EXPECT_EQ(elsewhere_.Read("after.json"), folder_.Read("after.json"));
  const ProcessResult again = There({"fit", "trusted", "--detector-version", "7"});
  EXPECT_THAT(again, ExitsWith(3)) << "a version that is there";
}

TEST_F(RemoteTest, ErrorsOnTheWayNameTheEngine) {
  const ProcessResult gone = DriftsealIn(folder_, {"verify", "zoo/typical.meta.json", "--engine", "127.0.0.1:1"});
  EXPECT_THAT(gone, ExitsWith(3));
  EXPECT_THAT(gone.err, AllOf(HasSubstr("engine 127.0.0.1:1"), HasSubstr("UNAVAILABLE")));
  EXPECT_THAT(gone.out, IsEmpty());
  for (const std::string flag : {"--root", "--backend", "--threads", "--crossover-rows"}) {
    const ProcessResult both = DriftsealIn(
        folder_, {"verify_all", "zoo", flag, flag == "--threads" ? "2" : "simd", "--engine", "127.0.0.1:1"});
    EXPECT_THAT(both, ExitsWith(2)) << flag;
  }
  EXPECT_THAT(DriftsealIn(folder_, {"verify", "zoo/typical.meta.json", "--token-file", "t"}), ExitsWith(2))
      << "what is for an engine wants one";
}

}  // namespace
}  // namespace driftseal::testing
