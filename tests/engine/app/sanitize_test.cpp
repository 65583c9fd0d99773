#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/app/cli.h"
#include "tests/support/model_files.h"

namespace driftseal::testing {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SanitizeTest : public ::testing::Test {
 protected:
  ordered_json Sanitize(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"sanitize_predictions", "p.csv", "--format", "json"});
    const ProcessResult result = DriftsealIn(folder_, more);
    EXPECT_THAT(result, ExitsWith(0));
    return JsonOf(result, "sanitize");
  }
  static std::vector<int> DroppedRows(const ordered_json& report) {
    std::vector<int> rows;
    for (const ordered_json& row : report["dropped"]) rows.push_back(row["row"]);
    return rows;
  }
  TempFolder folder_;
};

// 38 ordinary rows, and rows 8 and 30 (from 1) far from them, which `clean` leaves out.
std::string Table(const std::string& end, const std::string& note, bool clean = false) {
  std::string text = "id,note,confidence,margin" + end;
  for (int row = 1; row <= 40; ++row) {
    const bool odd = row == 8 || row == 30;
    if (odd && clean) continue;
    absl::StrAppend(&text, row, ",", note, ",", odd ? 77.5 : 0.8 + 0.001 * (row % 7), ", ",
                    odd ? -990 : 0.3 + 0.01 * (row % 5), end);
  }
  return text;
}

TEST_F(SanitizeTest, DropsTheRowsThatStandOutAndNoOther) {
  for (const std::string end : {"\n", "\r\n"}) {
    for (const std::string note : {"plain", "\"a \"\"quoted\"\", one\"", "\"over\ntwo lines\"", ""}) {
      const std::string text = Table(end, note);
      folder_.Write("p.csv", text);
      const ordered_json report = Sanitize({"--overwrite"});
      EXPECT_EQ(report["rows"], 40);
      EXPECT_THAT(DroppedRows(report), ElementsAre(8, 30)) << note;
      EXPECT_EQ(folder_.Read("p.sanitized.csv"), Table(end, note, true)) << "kept rows byte for byte";
      EXPECT_EQ(folder_.Read("p.csv"), text) << "the input is left as it is";
    }
  }
}

TEST_F(SanitizeTest, AFileWithoutALineEndAtItsEndKeepsIt) {
  std::string text = Table("\n", "x"), clean = Table("\n", "x", true);
  text.pop_back();
  clean.pop_back();
  folder_.Write("p.csv", text);
  Sanitize();
  EXPECT_EQ(folder_.Read("p.sanitized.csv"), clean);
}

TEST_F(SanitizeTest, TheShareIsOfWholeRows) {
  folder_.Write("p.csv", PredictionsCsv(1, 100));
  for (const auto& [share, count] : {std::pair{"0", 0u}, {"0.009", 0u}, {"0.01", 1u}, {"0.29", 29u}, {"0.5", 50u}}) {
    EXPECT_EQ(Sanitize({"--overwrite", "--contamination", share})["dropped"].size(), count) << share;
    const std::string kept = folder_.Read("p.sanitized.csv");
    EXPECT_EQ(static_cast<size_t>(std::count(kept.begin(), kept.end(), '\n')), 101 - count) << share;
  }
}

TEST_F(SanitizeTest, TheSameFileGivesTheSameRows) {
  folder_.Write("p.csv", PredictionsCsv(3, 100));
  const ordered_json first = Sanitize();
  EXPECT_EQ(Sanitize({"--overwrite"}), first);
}

TEST_F(SanitizeTest, RefusesToReplaceAFileUnlessAskedFor) {
  folder_.Write("p.csv", PredictionsCsv(1));
  folder_.Write("p.sanitized.csv", "precious");
  const ProcessResult refused = DriftsealIn(folder_, {"sanitize-predictions", "p.csv"});
  EXPECT_THAT(refused, ExitsWith(3));
  EXPECT_THAT(refused.err, AllOf(HasSubstr("p.sanitized.csv"), HasSubstr("--overwrite")));
  EXPECT_EQ(folder_.Read("p.sanitized.csv"), "precious");
  EXPECT_THAT(DriftsealIn(folder_, {"sanitize-predictions", "p.csv", "--output-path", "p.csv"}), ExitsWith(3));
  Sanitize({"--overwrite"});
  EXPECT_NE(folder_.Read("p.sanitized.csv"), "precious");
}

TEST_F(SanitizeTest, WritesWhereAskedTo) {
  folder_.Write("p.csv", PredictionsCsv(1));
  EXPECT_EQ(Sanitize({"--output-path", "clean.csv"})["output_path"], "clean.csv");
  EXPECT_TRUE(folder_.Exists("clean.csv"));
  EXPECT_FALSE(folder_.Exists("p.sanitized.csv"));
}

TEST_F(SanitizeTest, WhatCannotBeJudgedIsAnErrorAndNothingIsWritten) {
  struct Bad {
    const char *text, *said;
  };
  for (const Bad& bad : {Bad{"", "p.csv"}, Bad{"id,x\n", "no rows"}, Bad{"name\nann\nbob\n", "numeric"},
                         Bad{"a,b\n1,2\n3\n", "line 3"}, Bad{"a,b\n1,\"2\n", "quote"}, Bad{"a\n\xff\n", "UTF-8"}}) {
    folder_.Write("p.csv", bad.text);
    const ProcessResult result = DriftsealIn(folder_, {"sanitize_predictions", "p.csv"});
    EXPECT_THAT(result, ExitsWith(3)) << bad.text;
    EXPECT_THAT(result.err, AllOf(HasSubstr("p.csv"), HasSubstr(bad.said)));
    EXPECT_FALSE(folder_.Exists("p.sanitized.csv"));
  }
  EXPECT_THAT(DriftsealIn(folder_, {"sanitize_predictions", "gone.csv"}), ExitsWith(3));
}

TEST_F(SanitizeTest, TheTextCountsAndNamesTheOutput) {
  folder_.Write("p.csv", Table("\n", "x"));
  const ProcessResult result = DriftsealIn(folder_, {"sanitize_predictions", "p.csv"});
  EXPECT_THAT(result.out, AllOf(HasSubstr("2 of 40 rows dropped"), HasSubstr("p.sanitized.csv")));
}

}  // namespace
}  // namespace driftseal::testing
