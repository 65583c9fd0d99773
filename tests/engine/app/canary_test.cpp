#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/replay/protocol/behaviour.h"
#include "gmock/gmock.h"
#include "tests/engine/app/cli.h"
#include "tests/engine/app/fleet.h"
#include "tests/support/fake_pool.h"
#include "tests/support/json_schema.h"
#include "tests/support/temp_folder.h"

// Models that are really run, from the command line: boosters, since they need no training here.
namespace driftseal::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A fleet of 220 clean boosters and the detector that `driftseal fit --canary` made of it, once a process.
class RunnableFleet {
 public:
  static const RunnableFleet& Get() {
    static const RunnableFleet fleet;
    return fleet;
  }
  std::string detector() const { return (folder_ / "detector").string(); }
  const ProcessResult& fit() const { return fit_; }
  const TempFolder& folder() const { return folder_; }

 private:
  RunnableFleet() {
    for (uint64_t i = 0; i < 220; ++i) folder_.Write(absl::StrCat("models/m", i, ".json"), RunnableModel(i));
    folder_.Write("sets/table.safetensors", *replay::EncodeCanarySet(RunnableSet()));
    fit_ = Driftseal({"fit", (folder_ / "models").string(), "--model-dir", detector(), "--canary",
                      (folder_ / "sets").string(), "--format", "json", "--allow-missing-sandbox", "all"});
  }
  TempFolder folder_;
  ProcessResult fit_;
};

class CanaryTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(fleet().fit(), ExitsWith(0)); }
  static const RunnableFleet& fleet() { return RunnableFleet::Get(); }
  ProcessResult Run(const std::string& command, const std::string& path, std::vector<std::string> more = {}) const {
    // What a container may lack of the sandbox is not what is tried here.
    std::vector<std::string> arguments = {command, path, "--model-dir", fleet().detector(), "--allow-missing-sandbox",
                                          "all"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return DriftsealIn(folder_, arguments);
  }
  nlohmann::ordered_json Verify(const std::string& model, std::vector<std::string> more = {}) const {
    folder_.Write("a.json", model);
    more.insert(more.end(), {"--format", "json"});
    return nlohmann::ordered_json::parse(Run("verify", "a.json", more).out);
  }
  TempFolder folder_;
};

TEST_F(CanaryTest, FitMeasuresEveryModelAndKeepsTheSetsWithTheDetector) {
  const auto summary = JsonOf(fleet().fit(), "fit");
  EXPECT_EQ(summary["behaviour"]["measured"], 220);
  EXPECT_TRUE(summary["behaviour"]["not_run"].empty());
  EXPECT_TRUE(fleet().folder().Exists("detector/canary/table.safetensors"));
  const auto& families = summary["families"];
  EXPECT_TRUE(std::any_of(families.begin(), families.end(), [](const auto& f) { return f["view"] == "behaviour"; }));
}

TEST_F(CanaryTest, ABackdooredModelIsQuarantinedAndTheTriggerIsShown) {
  const auto entry = Verify(RunnableModel(900, "backdoor"));
  EXPECT_EQ(entry["verdict"], "quarantine") << entry.dump(1);
  EXPECT_NE(entry["score"]["view"], "files");
  const auto test = SignalOf(entry, "trigger-test");
  EXPECT_EQ(test["evidence"]["target_class"], 2);
  EXPECT_THAT(test["text"].get<std::string>(), HasSubstr("collapse into class 2"));
  EXPECT_THAT(SignalOf(entry, "score")["text"].get<std::string>(), HasSubstr("collapse into class 2"));
  ASSERT_FALSE(test["evidence"]["columns"].empty());
}

TEST_F(CanaryTest, CleanModelsPassAsOftenAsIsPromised) {
  for (uint64_t i = 0; i < 40; ++i) folder_.Write(absl::StrCat("new/m", i, ".json"), RunnableModel(1000 + i));
  Run("verify_all", "new", {"--output-path", "r.json"});
  const auto report = nlohmann::ordered_json::parse(folder_.Read("r.json"));
  EXPECT_THAT(PublishedSchemaErrors("report", nlohmann::json(report)), ::testing::IsEmpty());
  // alpha = 5 %: of 40 clean models 2 are flagged on average, more than 8 with probability < 0.001.
  EXPECT_GE(report["summary"]["pass"], 32);
}

TEST_F(CanaryTest, NoReplayReadsFilesAloneAndPassesNothing) {
  const auto entry = Verify(RunnableModel(901), {"--no-replay"});
  EXPECT_EQ(entry["score"]["view"], "files");
  EXPECT_EQ(SignalOf(entry, "not-run")["severity"], "unknown");
  EXPECT_NE(entry["verdict"], "pass");
}

TEST_F(CanaryTest, AChangedCanarySetIsAnErrorThatNamesIt) {
  std::filesystem::copy(fleet().detector(), folder_ / "detector", std::filesystem::copy_options::recursive);
  replay::CanarySet other = RunnableSet();
  other.inputs[1] += 1;
  folder_.Write("detector/canary/table.safetensors", *replay::EncodeCanarySet(other));
  folder_.Write("a.json", RunnableModel(902));
  const ProcessResult result = DriftsealIn(folder_, {"verify", "a.json", "--model-dir", "detector"});
  EXPECT_THAT(result, ExitsWith(3));
  EXPECT_THAT(result.err, HasSubstr("detector/canary/table.safetensors: is not the canary set table"));
  std::filesystem::remove(folder_ / "detector/canary/table.safetensors");
  EXPECT_THAT(DriftsealIn(folder_, {"verify", "a.json", "--model-dir", "detector"}).err, HasSubstr("canary set table"));
}

TEST_F(CanaryTest, CanarySetsBesideADetectorAreNoModels) {
  const auto report = Run("verify_all", fleet().folder().string(), {"--output-path", (folder_ / "r.json").string()});
  const auto json = nlohmann::ordered_json::parse(folder_.Read("r.json"));
  for (const auto& model : json["models"]) {
    EXPECT_THAT(model["path"].get<std::string>(), Not(HasSubstr("detector/canary/"))) << model.dump();
  }
  EXPECT_EQ(json["replay"]["canary_sets"][0]["name"], "table");
}

TEST_F(CanaryTest, WithoutAReplayProgramTheErrorNamesBothWaysOut) {
  // The same program with nothing beside it.
  std::error_code error;
  std::filesystem::create_hard_link(Command({}).front(), folder_ / "driftseal", error);
  if (error) std::filesystem::copy_file(Command({}).front(), folder_ / "driftseal");
  folder_.Write("a.json", RunnableModel(903));
  ProcessOptions options;
  options.folder = folder_.string();
  const ProcessResult result =
      testing::Run({(folder_ / "driftseal").string(), "verify", "a.json", "--model-dir", fleet().detector()}, options);
  EXPECT_THAT(result, ExitsWith(3));
  EXPECT_THAT(result.err, HasSubstr("driftseal-replay"));
  EXPECT_THAT(result.err, HasSubstr("--no-replay"));
  EXPECT_THAT(result.err, HasSubstr("--allow-missing-sandbox"));
}

// Children of a process, by /proc; none of one that ends meanwhile.
std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> found;
  std::error_code gone;
  std::filesystem::directory_iterator task(absl::StrCat("/proc/", parent, "/task"), gone);
  for (; !gone && task != std::filesystem::directory_iterator(); task.increment(gone)) {
    std::ifstream children(task->path() / "children");
    for (pid_t child; children >> child;) found.push_back(child);
  }
  return found;
}

std::vector<pid_t> ReplaysBelow(pid_t parent) {
  std::vector<pid_t> all;
  for (const pid_t child : ChildrenOf(parent)) {
    std::ifstream name(absl::StrCat("/proc/", child, "/comm"));
    std::string comm;
    std::getline(name, comm);
    if (comm.starts_with("driftseal-repl")) all.push_back(child);
    for (const pid_t below : ReplaysBelow(child)) all.push_back(below);
  }
  return all;
}

TEST_F(CanaryTest, ReplayProcessesThatAreKilledCostNoMoreThanTheirModels) {
  for (uint64_t i = 0; i < 60; ++i) folder_.Write(absl::StrCat("new/m", i, ".json"), RunnableModel(2000 + i));
  ProcessOptions options;
  options.folder = folder_.string();
  Process run(Command({"verify_all", "new", "--model-dir", fleet().detector(), "--output-path", "r.json",
                       "--allow-missing-sandbox", "all"}),
              options);
  int killed = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (run.Running() && std::chrono::steady_clock::now() < until) {
    for (const pid_t self : ChildrenOf(::getpid())) {
      // The two processes of the service, and at least one model: killed earlier, it could not be started at all.
      const std::vector<pid_t> replays = ReplaysBelow(self);
      for (const pid_t replay : replays) {
        if (killed < 12 && (killed > 0 || replays.size() > 2)) killed += ::kill(replay, SIGKILL) == 0;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }
  const ProcessResult result = run.Wait();
  EXPECT_EQ(result.signal, 0) << result.err;
  ASSERT_NE(result.code, 3) << result.err;
  EXPECT_GT(killed, 0);
  const auto report = nlohmann::ordered_json::parse(folder_.Read("r.json"));
  EXPECT_EQ(report["models"].size(), 60u);
  for (const auto& model : report["models"]) EXPECT_NE(model["verdict"], "error") << model.dump();
}

TEST_F(CanaryTest, ARunWithoutReplayIsNotMixedWithOneThatRuns) {
  for (uint64_t i = 0; i < 5; ++i) folder_.Write(absl::StrCat("new/m", i, ".json"), RunnableModel(3000 + i));
  const std::vector<std::string> output = {"--output-path", "r.json"};
  Run("verify_all", "new", output);
  const auto with = nlohmann::ordered_json::parse(folder_.Read("r.json"));
  EXPECT_TRUE(with["replay"].is_object());
  Run("verify_all", "new", {"--output-path", "r.json", "--no-replay"});
  const auto without = nlohmann::ordered_json::parse(folder_.Read("r.json"));
  EXPECT_TRUE(without["replay"].is_null());
  for (const auto& model : without["models"]) EXPECT_EQ(model["score"]["view"], "files");
}

}  // namespace
}  // namespace driftseal::testing
