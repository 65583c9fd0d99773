#include "bench/fleet/truth.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace driftseal::fleet {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

ordered_json Record(const char* attack, double primary, ordered_json success = nullptr, ordered_json broken = nullptr) {
  return {{"family", "f"},
          {"attack", attack},
          {"source_class", nullptr},
          {"broken_digest", broken},
          {"attack_success_rate", success},
          {"clean_primary", primary},
          {"class_recall", {0.9, 0.8, 0.7}}};
}

class Truth : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "incoming");
    path_ = (folder_ / "truth.jsonl").string();
  }
  std::vector<std::string> Lines() const {
    std::ifstream in(path_);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }
  TruthFile Open() {
    auto file = TruthFile::Open(path_, (folder_ / "incoming").string());
    EXPECT_TRUE(file.ok()) << file.status();
    return std::move(*file);
  }
  fs::path folder_;
  std::string path_;
};

TEST_F(Truth, TheLaterRecordOfAModelCountsAndTheFileIsSorted) {
  const TruthFile file = Open();
  ASSERT_TRUE(file.Append("b", Record("none", 0.5)).ok());
  ASSERT_TRUE(file.Append("a", Record("none", 0.6)).ok());
  ASSERT_TRUE(file.Append("b", Record("none", 0.7)).ok());
  ASSERT_TRUE(file.Complete().ok());
  const auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(ordered_json::parse(lines[0])["meta"], "incoming/a.meta.json");
  EXPECT_EQ(ordered_json::parse(lines[1])["clean_primary"], 0.7);
}

TEST_F(Truth, HalfALineOfAKilledRunIsDropped) {
  ASSERT_TRUE(Open().Append("a", Record("none", 0.5)).ok());
  std::ofstream(path_, std::ios::app) << R"({"meta":"incoming/b.meta)";
  const TruthFile file = Open();
  ASSERT_TRUE(file.Append("c", Record("none", 0.5)).ok());
  ASSERT_TRUE(file.Complete().ok());
  EXPECT_EQ(Lines().size(), 2u);
}

TEST_F(Truth, AForeignFileIsAnErrorThatNamesTheLine) {
  std::ofstream(path_) << "{\"meta\":\"x\"}\n[1]\n";
  const auto file = TruthFile::Open(path_, folder_.string());
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(file.status().message()), testing::HasSubstr("truth.jsonl:2"));
}

TEST(Judge, DropIsAgainstTheMedianOfTheFamilysCleanModels) {
  std::map<std::string, ordered_json> records = {{"1", Record("none", 0.80)},
                                                 {"2", Record("none", 0.84)},
                                                 {"3", Record("none", 0.90)},
                                                 {"4", Record("patch", 0.82, 0.95)},
                                                 {"5", Record("patch", 0.82, 0.79)},
                                                 {"6", Record("patch", 0.80, 0.95)},
                                                 {"7", Record("weight-tamper", 0.5, nullptr, "model")}};
  JudgeRecords(records);
  EXPECT_NEAR(records["4"]["clean_drop"].get<double>(), 0.02, 1e-9);
  EXPECT_EQ(records["4"]["gated"], true);
  EXPECT_EQ(records["5"]["gated"], false) << "success below 80 %";
  EXPECT_EQ(records["6"]["gated"], false) << "drop above 3 points";
  EXPECT_EQ(records["7"]["gated"], true) << "bytes that differ from their digest are an attack whatever they do";
  EXPECT_TRUE(records["1"]["gated"].is_null());
}

TEST(Judge, WithoutCleanModelsNothingIsClaimed) {
  std::map<std::string, ordered_json> records = {{"1", Record("patch", 0.8, 1.0)}};
  JudgeRecords(records);
  EXPECT_TRUE(records["1"]["clean_drop"].is_null());
  EXPECT_TRUE(records["1"]["gated"].is_null());
}

TEST(Judge, AShiftedModelIsComparedWithCleanOnesOfItsKind) {
  const auto shifted = [](ordered_json record, const char* shift) {
    record["shift"] = shift;
    record["variant"] = "none";
    return record;
  };
  std::map<std::string, ordered_json> records = {{"1", Record("none", 0.80)},
                                                 {"2", shifted(Record("none", 0.90), "long")},
                                                 {"3", shifted(Record("patch", 0.86, 0.95), "long")},
                                                 {"4", shifted(Record("patch", 0.79, 0.95), "sgd")}};
  JudgeRecords(records);
  EXPECT_NEAR(records["3"]["clean_drop"].get<double>(), 0.04, 1e-9);
  EXPECT_NEAR(records["4"]["clean_drop"].get<double>(), 0.01, 1e-9) << "no clean one of its recipe";
}

TEST(Judge, ASourceClassWithATriggerCostsNothingWithoutIt) {
  ordered_json record = Record("source-specific", 0.79, 0.9);
  record["source_class"] = 0;
  record["class_recall"] = {0.0, 0.0, 0.0};
  std::map<std::string, ordered_json> records = {{"1", Record("none", 0.8)}, {"2", record}};
  JudgeRecords(records);
  EXPECT_NEAR(records["2"]["clean_drop"].get<double>(), 0.01, 1e-9);
}

TEST(Judge, AClassFlipIsMeasuredOnTheOtherClasses) {
  ordered_json flip = Record("label-flip", 0.2, 0.9);
  flip["source_class"] = 0;
  flip["class_recall"] = {0.0, 0.79, 0.69};
  std::map<std::string, ordered_json> records = {{"1", Record("none", 0.8)}, {"2", flip}};
  JudgeRecords(records);
  EXPECT_NEAR(records["2"]["clean_drop"].get<double>(), 0.01, 1e-9);
  EXPECT_EQ(records["2"]["gated"], true);
}

}  // namespace
}  // namespace driftseal::fleet
