#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/app/fleet.h"
#include "tests/support/torch_zip.h"

// Meta files with recorded digests, and what happens to the files behind them.
namespace driftseal::testing {
namespace {

using nlohmann::ordered_json;
using ::testing::Contains;
using ::testing::HasSubstr;

class IntegrityTest : public FleetTest {
 protected:
  void SetUp() override {
    FleetTest::SetUp();
    folder_.Write("m.safetensors", fleet().typical());
    folder_.Write("p.csv", predictions_);
    folder_.Write("history.json", "[]");
    meta_ = BareMeta("m", "m.safetensors");
    meta_["artifacts"]["predictions_path"] = "p.csv";
    meta_["artifacts"]["related_paths"] = {"history.json"};
    meta_["fingerprint"] = {{"model_sha256", Sha256Hex(fleet().typical())},
                            {"predictions_sha256", Sha256Hex(predictions_)},
                            {"related_sha256", {{"history.json", Sha256Hex("[]")}}}};
    WriteMeta();
  }
  void WriteMeta() const { folder_.Write("m.meta.json", meta_.dump(2)); }
  // The kind is there, and names the file.
  static void ExpectSignal(const ordered_json& entry, const std::string& kind, const std::string& path) {
    const ordered_json signal = SignalOf(entry, kind);
    ASSERT_FALSE(signal.is_null()) << kind << " is missing from " << entry;
    EXPECT_EQ(signal["evidence"]["path"], path);
    EXPECT_THAT(signal["text"].get<std::string>(), HasSubstr(path));
  }
  const std::string predictions_ = PredictionsCsv(1);
  ordered_json meta_;
};

TEST_F(IntegrityTest, AllAsRecordedPasses) {
  const ordered_json entry = Verify("m.meta.json", 0);
  EXPECT_EQ(entry["verdict"], "pass");
  EXPECT_EQ(SignalOf(entry, "digest-match")["evidence"]["files"], 3);
  EXPECT_EQ(SignalOf(entry, "prediction-scan")["evidence"]["rows"], 40);
  EXPECT_EQ(entry["files"].size(), 3u);
}

TEST_F(IntegrityTest, ASwappedModelOfTheSameFamilyIsQuarantined) {
  const std::string other = Safetensors(SmallMlp(), 9);
  folder_.Write("m.safetensors", other);
  const ordered_json entry = Verify("m.meta.json", 1);
  EXPECT_EQ(entry["verdict"], "quarantine");
  ExpectSignal(entry, "digest-mismatch", "m.safetensors");
  EXPECT_EQ(entry["signals"][0]["evidence"]["actual_sha256"], Sha256Hex(other));
  EXPECT_EQ(entry["signals"][0]["evidence"]["recorded_sha256"], Sha256Hex(fleet().typical()));
}

TEST_F(IntegrityTest, OneChangedPredictionIsQuarantined) {
  std::string altered = predictions_;
  altered[altered.size() - 3] ^= 1;
  folder_.Write("p.csv", altered);
  const ordered_json entry = Verify("m.meta.json", 1);
  EXPECT_EQ(entry["verdict"], "quarantine");
  ExpectSignal(entry, "digest-mismatch", "p.csv");
}

TEST_F(IntegrityTest, AChangedRelatedFileIsQuarantined) {
  folder_.Write("history.json", "[1]");
  ExpectSignal(Verify("m.meta.json", 1), "digest-mismatch", "history.json");
}

TEST_F(IntegrityTest, AFileThatIsGoneIsToBeReviewedWhereItsDigestWasRecorded) {
  std::filesystem::remove(folder_ / "p.csv");
  ordered_json entry = Verify("m.meta.json", 1);
  EXPECT_EQ(entry["verdict"], "review");
  ExpectSignal(entry, "missing-file", "p.csv");
  meta_["fingerprint"].erase("predictions_sha256");
  WriteMeta();
  entry = Verify("m.meta.json", 4);
  EXPECT_EQ(entry["verdict"], "inconclusive");
}

TEST_F(IntegrityTest, ATruncatedModelIsMalformedWithItsName) {
  for (const size_t size : {size_t{0}, size_t{5}, size_t{100}, fleet().typical().size() - 1}) {
    folder_.Write("m.safetensors", fleet().typical().substr(0, size));
    meta_["fingerprint"].erase("model_sha256");
    WriteMeta();
    const ordered_json entry = Verify("m.meta.json", size < 8 ? 4 : 1);
    EXPECT_NE(entry["verdict"], "pass") << size;
    if (size >= 8) ExpectSignal(entry, "malformed-file", "m.safetensors");
  }
}

TEST_F(IntegrityTest, AHostilePickleIsQuarantinedAndNeverRun) {
  const std::string proof = (folder_ / "was-run").string();
  folder_.Write("evil.pt", HostileTorchArchive("touch " + proof));
  meta_["artifacts"]["model_path"] = "evil.pt";
  meta_["fingerprint"]["model_sha256"] = Sha256Hex(folder_.Read("evil.pt"));
  WriteMeta();
  const ordered_json entry = Verify("m.meta.json", 1);
  EXPECT_EQ(entry["verdict"], "quarantine");
  ExpectSignal(entry, "refused-file", "evil.pt");
  EXPECT_THAT(SignalOf(entry, "refused-file")["text"].get<std::string>(), HasSubstr("system"));
  EXPECT_FALSE(folder_.Exists("was-run"));
}

TEST_F(IntegrityTest, BadPredictionsAreToldAndTheModelIsStillScored) {
  for (const std::string bad : {"a,b\n1,2\n3\n", "a,b\n1,\"2\n", "a\n\xff\xfe\n"}) {
    folder_.Write("p.csv", bad);
    meta_["fingerprint"]["predictions_sha256"] = Sha256Hex(bad);
    WriteMeta();
    const ordered_json entry = Verify("m.meta.json", 1);
    EXPECT_EQ(entry["verdict"], "review");
    ExpectSignal(entry, "malformed-file", "p.csv");
    EXPECT_THAT(Kinds(entry), Contains("score"));
  }
}

TEST_F(IntegrityTest, AnUnreadableFileIsUnknownAndNotRefused) {
  std::filesystem::permissions(folder_ / "p.csv", std::filesystem::perms::none);
  ProcessOptions options;
  options.folder = folder_.string();
  options.as_nobody = true;
  const TempFolder copy;
  std::filesystem::copy(fleet().detector(), copy / "detector");
  const ProcessResult result =
      Driftseal({"verify", "m.meta.json", "--model-dir", (copy / "detector").string(), "--format", "json"}, options);
  EXPECT_THAT(result, ExitsWith(4));
  const ordered_json entry = JsonOf(result, "report#/$defs/model");
  ExpectSignal(entry, "unreadable-file", "p.csv");
  EXPECT_EQ(entry["verdict"], "inconclusive");
}

TEST_F(IntegrityTest, OneBrokenMetaFileAmongFiftyIsReportedAndTheRestIsScreened) {
  for (int i = 0; i < 49; ++i) {
    meta_["model_name"] = absl::StrCat("copy-", i);
    folder_.Write(absl::StrCat("fleet/", i, ".meta.json"), meta_.dump());
  }
  for (const char* name : {"m.safetensors", "p.csv", "history.json"}) {
    folder_.Write(std::string("fleet/") + name, folder_.Read(name));
  }
  const std::vector<std::string> broken = {"{",
                                           "[]",
                                           R"({"model_name": 5})",
                                           std::string(100, '['),
                                           "\xff\xfe",
                                           R"({"model_name": "x", "promotion": {"primary": 1e999}})",
                                           ""};
  for (const std::string& text : broken) {
    folder_.Write("fleet/broken.meta.json", text);
    EXPECT_THAT(Screen("verify_all", "fleet"), ExitsWith(3)) << text;
    const ordered_json report = Report();
    EXPECT_EQ(report["summary"]["models"], 50);
    EXPECT_EQ(report["summary"]["error"], 1) << text;
    EXPECT_EQ(report["summary"]["pass"], 49) << text;
    EXPECT_THAT(EntryOf("broken.meta.json")["error"].get<std::string>(), HasSubstr("broken.meta.json"));
  }
}

}  // namespace
}  // namespace driftseal::testing
