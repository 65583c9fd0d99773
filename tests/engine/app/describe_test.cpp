#include <string>
#include <vector>

#include "tests/engine/app/cli.h"
#include "tests/support/model_files.h"
#include "tests/support/torch_zip.h"

namespace driftseal::testing {
namespace {

using nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DescribeTest : public ::testing::Test {
 protected:
  ordered_json Describe(int code, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"describe", ".", "--format", "json"});
    const ProcessResult result = DriftsealIn(folder_, more);
    EXPECT_THAT(result, ExitsWith(code));
    return JsonOf(result, "describe");
  }
  static std::vector<std::string> Outcomes(const ordered_json& report) {
    std::vector<std::string> outcomes;
    for (const ordered_json& file : report["files"]) {
      outcomes.push_back(file["path"].get<std::string>() + " " + file["outcome"].get<std::string>());
    }
    return outcomes;
  }
  TempFolder folder_;
};

TEST_F(DescribeTest, WritesAMetaFileThatBackfillFindsComplete) {
  const std::string bytes = Safetensors(SmallMlp(), 1);
  folder_.Write("sub/a.safetensors", bytes);
  EXPECT_THAT(Outcomes(Describe(0)), ElementsAre("sub/a.safetensors written"));
  const ordered_json meta = ordered_json::parse(folder_.Read("sub/a.safetensors.meta.json"));
  EXPECT_EQ(meta["model_name"], "a");
  EXPECT_EQ(meta["artifacts"]["model_path"], "a.safetensors");
  EXPECT_EQ(meta["framework"], "safetensors");
  EXPECT_EQ(meta["fingerprint"]["model_sha256"], Sha256Hex(bytes));
  const ProcessResult backfill = DriftsealIn(folder_, {"backfill_hashes", "--format", "json"});
  EXPECT_EQ(JsonOf(backfill, "backfill")["files"][0]["outcome"], "complete");
}

TEST_F(DescribeTest, ADescribedModelIsLeftAloneUnlessAskedFor) {
  folder_.Write("a.safetensors", Safetensors(SmallMlp(), 1));
  Describe(0);
  folder_.Write("a.safetensors", Safetensors(SmallMlp(), 2));
  EXPECT_THAT(Outcomes(Describe(0)), ElementsAre()) << "it has a meta file";
  const ordered_json before = ordered_json::parse(folder_.Read("a.safetensors.meta.json"));
  EXPECT_THAT(Outcomes(Describe(0, {"--overwrite"})), ElementsAre("a.safetensors written"));
  const ordered_json after = ordered_json::parse(folder_.Read("a.safetensors.meta.json"));
  EXPECT_NE(after["fingerprint"]["model_sha256"], before["fingerprint"]["model_sha256"]);
}

TEST_F(DescribeTest, AMetaFileThatIsThereIsNotReplacedByNamingTheModel) {
  folder_.Write("a.safetensors", Safetensors(SmallMlp(), 1));
  folder_.Write("a.safetensors.meta.json", "mine");
  const ProcessResult result = DriftsealIn(folder_, {"describe", "a.safetensors", "--format", "json"});
  EXPECT_EQ(JsonOf(result, "describe")["files"][0]["outcome"], "skipped");
  EXPECT_EQ(folder_.Read("a.safetensors.meta.json"), "mine");
}

TEST_F(DescribeTest, WhatCannotBeReadGetsNoMetaFile) {
  folder_.Write("good.safetensors", Safetensors(SmallMlp(), 1));
  folder_.Write("hostile.pt", HostileTorchArchive("true"));
  folder_.Write("other.onnx", "some bytes of another format");
  folder_.Write("torn.safetensors", Safetensors(SmallMlp(), 1).substr(0, 200));
  EXPECT_THAT(Outcomes(Describe(3)), ElementsAre("good.safetensors written", "hostile.pt error", "other.onnx error",
                                                 "torn.safetensors error"));
  EXPECT_THAT(NamesIn(folder_.path()), ElementsAre("good.safetensors", "good.safetensors.meta.json", "hostile.pt",
                                                   "other.onnx", "torn.safetensors"));
}

// JSON holds UTF-8: a meta file with the name's replacement would name another file, or none.
TEST_F(DescribeTest, ANameThatIsNotUtf8GetsNoMetaFile) {
  folder_.Write("a\xff.safetensors", Safetensors(SmallMlp(), 1));
  const ordered_json report = Describe(3);
  ASSERT_EQ(report["files"].size(), 1u);
  EXPECT_EQ(report["files"][0]["outcome"], "error");
  EXPECT_THAT(report["files"][0]["detail"].get<std::string>(), HasSubstr("not UTF-8"));
  EXPECT_EQ(NamesIn(folder_.path()).size(), 1u);
}

}  // namespace
}  // namespace driftseal::testing
