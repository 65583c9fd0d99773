#include <filesystem>
#include <string>
#include <vector>

#include "tests/engine/app/fleet.h"
#include "tests/support/torch_zip.h"

// Which files are screened, and what may not be reached.
namespace driftseal::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class PathsTest : public FleetTest {
 protected:
  // "path verdict" of every model in the report.
  std::vector<std::string> Verdicts() const {
    std::vector<std::string> verdicts;
    const ordered_json report = Report();
    for (const ordered_json& entry : report["models"]) {
      verdicts.push_back(entry["path"].get<std::string>() + " " + entry["verdict"].get<std::string>());
    }
    return verdicts;
  }
  void WriteWithMeta(const std::string& folder, const std::string& name, bool eligible = true) const {
    folder_.Write(folder + "/" + name + ".safetensors", fleet().typical());
    ordered_json meta = BareMeta(name, name + ".safetensors");
    meta["promotion"]["eligible"] = eligible;
    folder_.Write(folder + "/" + name + ".meta.json", meta.dump());
  }
};

TEST_F(PathsTest, ALinkOutOfTheRootIsRefusedAndTheRestIsScreened) {
  folder_.Write("secret.safetensors", fleet().typical());
  folder_.Write("root/inside.safetensors", fleet().typical());
  fs::create_symlink("inside.safetensors", folder_ / "root/link.safetensors");
  fs::create_symlink("../secret.safetensors", folder_ / "root/out.safetensors");
  fs::create_symlink("../secret.safetensors", folder_ / "root/named");
  folder_.Write("root/m.meta.json", BareMeta("m", "named").dump());
  folder_.Write("root/n.meta.json", BareMeta("n", "../secret.safetensors").dump());
  EXPECT_THAT(Screen("verify_all", "root"), ExitsWith(1));
  EXPECT_THAT(Verdicts(), ElementsAre("inside.safetensors pass", "link.safetensors pass", "m.meta.json quarantine",
                                      "n.meta.json quarantine", "out.safetensors error"));
  EXPECT_THAT(EntryOf("out.safetensors")["error"].get<std::string>(), HasSubstr("leads out of the root"));
  for (const char* name : {"m.meta.json", "n.meta.json"}) {
    EXPECT_THAT(SignalOf(EntryOf(name), "refused-file")["text"].get<std::string>(), HasSubstr("leads out of the root"));
  }
}

TEST_F(PathsTest, AWiderRootAllowsWhatLiesInIt) {
  folder_.Write("shared/m.safetensors", fleet().typical());
  folder_.Write("fleet/beside.meta.json", BareMeta("m", "../shared/m.safetensors").dump());
  folder_.Write("fleet/rooted.meta.json", BareMeta("m", "shared/m.safetensors").dump());
  folder_.Write("fleet/absolute.meta.json", BareMeta("m", (folder_ / "shared/m.safetensors").string()).dump());
  EXPECT_THAT(Screen("verify_all", "fleet"), ExitsWith(1));
  EXPECT_THAT(Screen("verify_all", "fleet", {"--root", "."}), ExitsWith(0));
  EXPECT_THAT(Verdicts(), ElementsAre("fleet/absolute.meta.json pass", "fleet/beside.meta.json pass",
                                      "fleet/rooted.meta.json pass"));
  EXPECT_THAT(Screen("verify", "fleet/beside.meta.json", {"--root", "."}), ExitsWith(0));
  const ProcessResult outside = Screen("verify_all", ".", {"--root", "fleet"});
  EXPECT_THAT(outside, ExitsWith(3));
  EXPECT_THAT(outside.err, HasSubstr("outside of --root"));
}

TEST_F(PathsTest, RootAndGlobAsTheFlagsOfOldWithoutAPath) {
  WriteWithMeta("zoo/finance", "f");
  WriteWithMeta("zoo/vision", "v");
  const std::vector<std::string> common = {"--model-dir", fleet().detector(), "--output-path", "report.json"};
  const auto run = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), common.begin(), common.end());
    return DriftsealIn(folder_, arguments);
  };
  EXPECT_THAT(run({"verify_all", "--root", "zoo"}), ExitsWith(0));
  EXPECT_THAT(Verdicts(), ElementsAre("finance/f.meta.json pass", "vision/v.meta.json pass"));
  EXPECT_THAT(run({"verify_all", "--root", "zoo", "--meta-glob", "finance/**/*.meta.json"}), ExitsWith(0));
  EXPECT_THAT(Verdicts(), ElementsAre("finance/f.meta.json pass"));
  const ProcessResult none = run({"verify_all", "--root", "zoo", "--meta-glob", "nothing/*.meta.json"});
  EXPECT_THAT(none, ExitsWith(3));
  EXPECT_THAT(none.err, HasSubstr("nothing/*.meta.json"));
}

TEST_F(PathsTest, SeveralPathsShareARootAndNothingIsTwice) {
  WriteWithMeta("a", "x");
  folder_.Write("b/y.safetensors", fleet().typical());
  std::vector<std::string> arguments = {"verify_all",    "a",           "b/y.safetensors",  "b",
                                        "a/x.meta.json", "--model-dir", fleet().detector(), "--output-path",
                                        "report.json"};
  EXPECT_THAT(DriftsealIn(folder_, arguments), ExitsWith(0));
  EXPECT_THAT(Verdicts(), ElementsAre("a/x.meta.json pass", "b/y.safetensors pass"));
}

TEST_F(PathsTest, OnlyEligibleSkipsAndCounts) {
  WriteWithMeta("zoo", "yes");
  WriteWithMeta("zoo", "no", false);
  const ProcessResult result = Screen("verify_all", "zoo", {"--only-eligible"});
  EXPECT_THAT(result, ExitsWith(0));
  EXPECT_THAT(result.out, HasSubstr("1 not eligible"));
  EXPECT_THAT(Verdicts(), ElementsAre("no.meta.json skipped", "yes.meta.json pass"));
  EXPECT_EQ(Report()["only_eligible"], true);
  EXPECT_EQ(Report()["summary"]["skipped"], 1);
}

TEST_F(PathsTest, NamesOfAnyBytesAreScreened) {
  const std::vector<std::string> names = {"with space",
                                          "line\nbreak",
                                          "escape\x1b[2J",
                                          "not\xff"
                                          "utf8",
                                          "-dash",
                                          "üñ"};
  for (const std::string& name : names) folder_.Write("zoo/" + name + ".safetensors", fleet().typical());
  EXPECT_THAT(Screen("verify_all", "zoo"), ExitsWith(0));
  std::vector<std::string> expected;
  for (const char* name : {"with space", "line\nbreak", "escape\x1b[2J", "not\xEF\xBF\xBDutf8", "-dash", "üñ"}) {
    expected.push_back(std::string(name) + ".safetensors pass");
  }
  EXPECT_THAT(Verdicts(), ::testing::UnorderedElementsAreArray(expected));
  for (const std::string& name : names) Verify("zoo/" + name + ".safetensors", 0);
}

TEST_F(PathsTest, LoopsOfLinksEnd) {
  folder_.Write("zoo/a.safetensors", fleet().typical());
  fs::create_directory_symlink("..", folder_ / "zoo/up");
  fs::create_symlink("self.safetensors", folder_ / "zoo/self.safetensors");
  fs::create_symlink("named.safetensors", folder_ / "zoo/named.safetensors");
  folder_.Write("zoo/m.meta.json", BareMeta("m", "named.safetensors").dump());
  EXPECT_THAT(Screen("verify_all", "zoo"), ExitsWith(3));
  EXPECT_THAT(Verdicts(), ElementsAre("a.safetensors pass", "m.meta.json inconclusive", "self.safetensors error"));
}

TEST_F(PathsTest, HostileAndUnknownBareFilesAreNoPass) {
  folder_.Write("zoo/evil.pt", HostileTorchArchive("true"));
  folder_.Write("zoo/model.onnx", "some bytes of another format");
  folder_.Write("zoo/model.pkl", std::string("\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01x\x94.", 16));
  folder_.Write("zoo/torn.safetensors", fleet().typical().substr(0, 150));
  const ProcessResult result = Screen("verify_all", "zoo");
  EXPECT_THAT(result, ExitsWith(1));
  EXPECT_THAT(Verdicts(), ElementsAre("evil.pt quarantine", "model.onnx inconclusive", "model.pkl inconclusive",
                                      "torn.safetensors review"));
  EXPECT_THAT(Kinds(EntryOf("model.onnx")), ::testing::Contains("unknown-format"));
}

TEST_F(PathsTest, ADetectorInTheFolderIsNoModelOfIt) {
  folder_.Write("a.safetensors", fleet().typical());
  fs::copy(fleet().detector(), folder_ / "driftseal_detector");
  EXPECT_THAT(DriftsealIn(folder_, {"verify_all"}), ExitsWith(0));
  const ordered_json report = ordered_json::parse(folder_.Read("driftseal_detector/verification_report.json"));
  ASSERT_EQ(report["models"].size(), 1u);
  EXPECT_EQ(report["models"][0]["path"], "a.safetensors");
  EXPECT_THAT(DriftsealIn(folder_, {"verify_all"}), ExitsWith(0)) << "nor is the report";
}

TEST_F(PathsTest, AFolderThatCannotBeReadIsReported) {
  folder_.Write("zoo/open/a.safetensors", fleet().typical());
  folder_.Write("zoo/closed/b.safetensors", fleet().typical());
  fs::permissions(folder_ / "zoo/closed", fs::perms::none);
  const TempFolder work;
  fs::copy(fleet().detector(), work / "detector");
  fs::permissions(work.path(), fs::perms::all);
  ProcessOptions options;
  options.folder = work.string();
  options.as_nobody = true;
  const ProcessResult result = Driftseal(
      {"verify_all", (folder_ / "zoo").string(), "--model-dir", "detector", "--output-path", "report.json"}, options);
  EXPECT_THAT(result, ExitsWith(3));
  EXPECT_THAT(result.out, AllOf(HasSubstr("1 pass"), ContainsRegex("closed +a folder that cannot be read")));
}

TEST_F(PathsTest, AReportThatCannotBeWrittenIsToldBeforeTheWork) {
  folder_.Write("zoo/a.safetensors", fleet().typical());
  fs::create_directory(folder_ / "taken");
  for (const auto& [path, said] : {std::pair{"taken", "regular file"},
                                   {"/dev/null", "regular file"},
                                   {"zoo/a.safetensors/report.json", "a.safetensors"}}) {
    const ProcessResult result =
        DriftsealIn(folder_, {"verify_all", "zoo", "--model-dir", fleet().detector(), "--output-path", path});
    EXPECT_THAT(result, ExitsWith(3)) << path;
    EXPECT_THAT(result.err, HasSubstr(said));
  }
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_THAT(NamesIn(folder_.path()), UnorderedElementsAre("taken", "zoo"));
}

}  // namespace
}  // namespace driftseal::testing
