#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/engine/app/cli.h"
#include "tests/support/model_files.h"

namespace driftseal::testing {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class BackfillTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.Write("m.safetensors", model_);
    folder_.Write("p.csv", predictions_);
    folder_.Write("notes.txt", "related");
  }
  ordered_json Written(const std::string& name = "m.meta.json") { return ordered_json::parse(folder_.Read(name)); }
  ordered_json Backfill(int code, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"backfill_hashes", ".", "--format", "json"});
    const ProcessResult result = DriftsealIn(folder_, more);
    EXPECT_THAT(result, ExitsWith(code));
    return JsonOf(result, "backfill");
  }
  TempFolder folder_;
  const std::string model_ = Safetensors(SmallMlp(), 1), predictions_ = PredictionsCsv(1);
};

// Fields that nobody here knows, in an order of their own, in the writer's layout.
constexpr char kMeta[] = R"({
    "zeta": {"b": 1, "a": [1.50, null, "ü"]},
    "model_name": "m",
    "artifacts": {
        "predictions_path": "p.csv",
        "model_path": "m.safetensors",
        "related_paths": ["notes.txt"]
    },
    "alpha": true
}
)";

TEST_F(BackfillTest, WritesWhatIsMissingAndKeepsTheRestInItsOrder) {
  folder_.Write("m.meta.json", kMeta);
  const ordered_json report = Backfill(0);
  EXPECT_EQ(report["files"][0]["outcome"], "written");
  EXPECT_EQ(report["files"][0]["path"], "m.meta.json");
  ordered_json expected = ordered_json::parse(kMeta);
  const ordered_json written = Written();
  EXPECT_EQ(written["fingerprint"]["model_sha256"], Sha256Hex(model_));
  EXPECT_EQ(written["fingerprint"]["predictions_sha256"], Sha256Hex(predictions_));
  EXPECT_EQ(written["fingerprint"]["related_sha256"]["notes.txt"], Sha256Hex("related"));
  expected["fingerprint"] = written["fingerprint"];
  EXPECT_EQ(written.dump(), expected.dump()) << "nothing else changed, nor the order";
  EXPECT_THAT(folder_.Read("m.meta.json"),
              AllOf(HasSubstr("{\n    \"zeta\""), HasSubstr("ü"), ::testing::EndsWith("}\n")));
}

TEST_F(BackfillTest, AgainThereIsNothingToDo) {
  folder_.Write("m.meta.json", kMeta);
  Backfill(0);
  const std::string before = folder_.Read("m.meta.json");
  EXPECT_EQ(Backfill(0)["files"][0]["outcome"], "complete");
  EXPECT_EQ(folder_.Read("m.meta.json"), before);
}

TEST_F(BackfillTest, OnlyTheMissingOnesAreFilledIn) {
  ordered_json meta = ordered_json::parse(kMeta);
  meta["fingerprint"] = {{"model_sha256", Sha256Hex(model_)}, {"mine", "kept"}};
  folder_.Write("m.meta.json", meta.dump());
  EXPECT_EQ(Backfill(0)["files"][0]["detail"], "2 digests");
  EXPECT_EQ(Written()["fingerprint"]["mine"], "kept");
  EXPECT_EQ(Written()["fingerprint"]["predictions_sha256"], Sha256Hex(predictions_));
}

TEST_F(BackfillTest, AMismatchIsReportedAndNothingIsWritten) {
  ordered_json meta = ordered_json::parse(kMeta);
  const std::string other(64, 'a');
  meta["fingerprint"]["model_sha256"] = other;
  folder_.Write("m.meta.json", meta.dump());
  const std::string before = folder_.Read("m.meta.json");
  const ordered_json report = Backfill(1);
  EXPECT_EQ(report["files"][0]["outcome"], "mismatch");
  EXPECT_THAT(report["files"][0]["detail"].get<std::string>(),
              AllOf(HasSubstr("m.safetensors"), HasSubstr(other), HasSubstr(Sha256Hex(model_))));
  EXPECT_EQ(folder_.Read("m.meta.json"), before);
  EXPECT_EQ(Backfill(0, {"--overwrite"})["files"][0]["outcome"], "written");
  EXPECT_EQ(Written()["fingerprint"]["model_sha256"], Sha256Hex(model_));
  EXPECT_EQ(Backfill(0)["files"][0]["outcome"], "complete");
}

TEST_F(BackfillTest, OneBadMetaFileDoesNotStopTheRest) {
  folder_.Write("1.meta.json", "{");
  folder_.Write("2.meta.json", R"({"model_name": "m", "artifacts": {"model_path": "gone.safetensors"}})");
  folder_.Write("3.meta.json", R"({"model_name": "m", "artifacts": {"model_path": "../../etc/passwd"}})");
  folder_.Write("m.meta.json", kMeta);
  const ordered_json report = Backfill(3);
  std::vector<std::string> outcomes;
  for (const ordered_json& file : report["files"]) outcomes.push_back(file["outcome"]);
  EXPECT_THAT(outcomes, ElementsAre("error", "error", "error", "written"));
  EXPECT_THAT(report["files"][0]["detail"].get<std::string>(), HasSubstr("1.meta.json"));
  EXPECT_THAT(report["files"][1]["detail"].get<std::string>(), HasSubstr("gone.safetensors"));
  EXPECT_THAT(report["files"][2]["detail"].get<std::string>(), HasSubstr("leads out of the root"));
  EXPECT_FALSE(Written("3.meta.json").contains("fingerprint"));
}

// What can be recorded is, and what cannot is told.
TEST_F(BackfillTest, AMissingRelatedFileLeavesTheOthersRecorded) {
  std::filesystem::remove(folder_ / "notes.txt");
  folder_.Write("m.meta.json", kMeta);
  EXPECT_EQ(Backfill(3)["files"][0]["outcome"], "error");
  EXPECT_EQ(Written()["fingerprint"]["model_sha256"], Sha256Hex(model_));
  EXPECT_FALSE(Written()["fingerprint"].contains("related_sha256"));
}

TEST_F(BackfillTest, OnlyEligibleLeavesTheOthersAlone) {
  folder_.Write("m.meta.json", kMeta);
  EXPECT_EQ(Backfill(0, {"--only-eligible"})["files"][0]["outcome"], "skipped");
  EXPECT_EQ(folder_.Read("m.meta.json"), kMeta);
}

TEST_F(BackfillTest, TheGlobChooses) {
  folder_.Write("m.meta.json", kMeta);
  folder_.Write("sub/n.meta.json", R"({"model_name": "n", "artifacts": {"model_path": "m.safetensors"}})");
  const ordered_json report = Backfill(0, {"--meta-glob", "sub/*.meta.json"});
  ASSERT_EQ(report["files"].size(), 1u);
  EXPECT_EQ(Written("sub/n.meta.json")["fingerprint"]["model_sha256"], Sha256Hex(model_))
      << "looked up beneath the root";
  EXPECT_EQ(folder_.Read("m.meta.json"), kMeta);
}

TEST_F(BackfillTest, TheTextNamesWhatWasWrittenAndCounts) {
  folder_.Write("m.meta.json", kMeta);
  const ProcessResult result = DriftsealIn(folder_, {"backfill-hashes"});
  EXPECT_THAT(result, ExitsWith(0));
  EXPECT_THAT(result.out, AllOf(HasSubstr("written  m.meta.json  3 digests"), HasSubstr("1 files: 1 written")));
}

TEST_F(BackfillTest, TheFilesModeStays) {
  folder_.Write("m.meta.json", kMeta);
  ::chmod((folder_ / "m.meta.json").c_str(), 0640);
  Backfill(0);
  struct stat status;
  ASSERT_EQ(::stat((folder_ / "m.meta.json").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u);
}

}  // namespace
}  // namespace driftseal::testing
