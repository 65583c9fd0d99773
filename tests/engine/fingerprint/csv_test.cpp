#include <gmock/gmock.h>

#include <cmath>

#include "engine/fingerprint/predictions.h"
#include "fixtures.h"

namespace driftseal::fingerprint {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsNan;

CsvTable Parsed(std::string_view text) {
  auto table = ParseCsv(text, "x.csv");
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? *std::move(table) : CsvTable{};
}
std::string ErrorOf(std::string_view text) {
  const auto table = ParseCsv(text, "x.csv");
  EXPECT_FALSE(table.ok()) << text.substr(0, 100);
  EXPECT_TRUE(absl::IsInvalidArgument(table.status())) << table.status();
  return Message(table.status());
}

TEST(ParseCsv, ReadsNumbersAndTexts) {
  for (const std::string_view text : {"a,b\n1,x\n-2.5e3,y\n", "a,b\r\n1,x\r\n-2.5e3,y\r\n",
                                      "\xEF\xBB\xBF"
                                      "a,b\n 1 ,x\n+-2.5e3,y",
                                      "a,b\n1,x\n\n-2.5e3,y\n\n"}) {
    if (text.find("+-") != text.npos) {
      EXPECT_FALSE(Parsed(text).columns.at(0).numeric);
      continue;
    }
    const CsvTable table = Parsed(text);
    ASSERT_EQ(table.columns.size(), 2u) << text;
    EXPECT_EQ(table.rows, 2u);
    EXPECT_TRUE(table.columns[0].numeric);
    EXPECT_THAT(table.columns[0].numbers, ElementsAre(1, -2500));
    EXPECT_FALSE(table.columns[1].numeric);
    EXPECT_THAT(table.columns[1].texts, ElementsAre("x", "y"));
  }
}

TEST(ParseCsv, UnderstandsQuotes) {
  const CsvTable table = Parsed("\"a,b\",c\n\"x \"\"y\"\"\r\nz\",\"1.5\"\n\"\",2\n");
  ASSERT_EQ(table.columns.size(), 2u);
  EXPECT_EQ(table.columns[0].name, "a,b");
  EXPECT_THAT(table.columns[0].texts, ElementsAre("x \"y\"\r\nz", ""));
  EXPECT_THAT(table.columns[1].numbers, ElementsAre(1.5, 2));
}

TEST(ParseCsv, EmptyAndNanCellsAreMissing) {
  const CsvTable table = Parsed("a,b,c\n,nan,1\n3,NaN,\n,+4,5\n");
  EXPECT_THAT(table.columns[0].numbers, ElementsAre(IsNan(), 3, IsNan()));
  EXPECT_THAT(table.columns[1].numbers, ElementsAre(IsNan(), IsNan(), 4));
  EXPECT_THAT(table.columns[2].numbers, ElementsAre(1, IsNan(), 5));
}

TEST(ParseCsv, AColumnThatTurnsOutToBeTextKeepsItsFirstCells) {
  const CsvTable table = Parsed("a,b,c\n1,01,1\n2,\"2 \",2\n3,x,3\n4,,inf\nn,5,done\n");
  EXPECT_THAT(table.columns[0].texts, ElementsAre("1", "2", "3", "4", "n"));
  EXPECT_THAT(table.columns[1].texts, ElementsAre("01", "2 ", "x", "", "5"));
  EXPECT_THAT(table.columns[2].texts, ElementsAre("1", "2", "3", "inf", "done"));
  EXPECT_THAT(table.columns[0].numbers, IsEmpty());
}

TEST(ParseCsv, InfinitiesInANumericColumnAreErrors) {
  EXPECT_EQ(ErrorOf("a,p_1\n1,2\n1,inf\n"),
            "x.csv: line 3, column 2 (p_1): expected a finite number, found an infinity");
  EXPECT_THAT(ErrorOf("a\n1e999\n"), HasSubstr("found an infinity"));
  EXPECT_THAT(ErrorOf("a\n-Infinity\n"), HasSubstr("found an infinity"));
  EXPECT_THAT(Parsed("a\n1e-999\n").columns[0].numbers, ElementsAre(0));
}

TEST(ParseCsv, HeaderOnlyAndEmptyFiles) {
  const CsvTable table = Parsed("a,b\n");
  EXPECT_EQ(table.rows, 0u);
  EXPECT_EQ(table.columns.size(), 2u);
  EXPECT_THAT(ErrorOf(""), HasSubstr("expected a header row, found an empty file"));
  EXPECT_THAT(ErrorOf("\n\r\n"), HasSubstr("found an empty file"));
  EXPECT_THAT(ErrorOf("\xEF\xBB\xBF"), HasSubstr("found an empty file"));
}

TEST(ParseCsv, RaggedRowsNameTheLine) {
  EXPECT_EQ(ErrorOf("a,b\n1,2\n3\n"), "x.csv: line 3: expected 2 cells as in the header, found 1");
  EXPECT_EQ(ErrorOf("a,b\n1,2,3\n"), "x.csv: line 2: expected 2 cells as in the header, found 3");
  // Lines are counted through quoted line breaks and empty lines.
  EXPECT_THAT(ErrorOf("a,b\n\"x\ny\",2\n\n3\n"), HasSubstr("line 5: expected 2 cells"));
}

TEST(ParseCsv, StrayQuotesAndLineEndsNameLineAndColumn) {
  EXPECT_THAT(ErrorOf("a,b\n1,\"x\n"), AllOf(HasSubstr("line 2, column 2"), HasSubstr("closing quote")));
  EXPECT_THAT(ErrorOf("a,b\n1,x\"y\"\n"), AllOf(HasSubstr("line 2, column 2"), HasSubstr("found one inside")));
  EXPECT_THAT(ErrorOf("a,b\n\"x\"y,2\n"), AllOf(HasSubstr("line 2, column 1"), HasSubstr("after the closing quote")));
  EXPECT_THAT(ErrorOf("a,b\r1,2\r"), AllOf(HasSubstr("line 1, column 2"), HasSubstr("lone CR")));
}

TEST(ParseCsv, BytesThatAreNoTextAreRefused) {
  EXPECT_THAT(ErrorOf("a\n\xFF\xFE\n"), HasSubstr("UTF-8"));
  EXPECT_THAT(ErrorOf(std::string_view("a\n1\0\n", 5)), HasSubstr("NUL character at byte 3"));
}

TEST(ParseCsv, AMillionColumnsAreRefused) {
  std::string header(2'000'000, ',');
  for (size_t i = 0; i < header.size(); i += 2) header[i] = 'a';
  EXPECT_THAT(ErrorOf(header), HasSubstr("expected at most 10000 columns"));
  EXPECT_THAT(ErrorOf("a\n" + header), HasSubstr("line 2"));
  std::string most = "a";
  for (size_t i = 1; i < kCsvColumnLimit; ++i) most += ",a";
  EXPECT_EQ(Parsed(most + "\n").columns.size(), kCsvColumnLimit);
}

TEST(ParseCsv, MemoryIsBounded) {
  // 60 MB of text that would take 480 MB as a table of two columns.
  std::string text = "a,b\n";
  while (text.size() < 60'000'000) text += ",\n,\n,\n,\n,\n,\n,\n,\n";
  EXPECT_THAT(ErrorOf(text), HasSubstr("bytes in memory"));
}

std::string PlainRows(int rows) {
  std::string text = "i,a,b,note\n";
  for (int i = 0; i < rows; ++i) {
    text +=
        std::to_string(i) + "," + std::to_string(std::sin(i * 1.7)) + "," + std::to_string(std::cos(i * 2.3)) + ",x\n";
  }
  return text;
}

TEST(ScanPredictions, FindsTheRowsThatStandOut) {
  const CsvTable table = Parsed(PlainRows(400) + "400,30,-40,x\n401,-50,60,y\n");
  const auto scan = ScanPredictions(table);
  ASSERT_TRUE(scan.ok()) << scan.status();
  EXPECT_EQ(scan->rows, 402u);
  EXPECT_EQ(scan->numeric_columns, 2u);  // Not the row numbers.
  ASSERT_EQ(scan->worst.size(), 5u);
  EXPECT_THAT((std::vector<size_t>{scan->worst[0].first, scan->worst[1].first}),
              testing::UnorderedElementsAre(401, 402));
  EXPECT_EQ(scan->worst[0].second, scan->max_score);
  EXPECT_GT(scan->max_score, 0.65);
  EXPECT_GE(scan->anomalous_share, 2.0 / 402);
  EXPECT_LT(scan->anomalous_share, 0.2);
  EXPECT_GT(scan->worst[1].second, scan->worst[2].second);
}

TEST(ScanPredictions, IsTheSameEveryTime) {
  const CsvTable table = Parsed(PlainRows(300));
  EXPECT_EQ(RowScores(table), RowScores(table));
  EXPECT_EQ(RowScores(table).size(), 300u);
}

TEST(ScanPredictions, HardTables) {
  EXPECT_TRUE(absl::IsFailedPrecondition(ScanPredictions(Parsed("a\n")).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(ScanPredictions(Parsed("a\n1\n")).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(ScanPredictions(Parsed("a\nx\ny\n")).status()));
  EXPECT_THAT(RowScores(Parsed("a\nx\ny\n")), IsEmpty());
  EXPECT_THAT(RowScores(Parsed("a\n7\n")), ElementsAre(0.5));
  // Constant, missing and huge cells.
  const auto scan = ScanPredictions(Parsed("a,b,c\n1,,1e300\n1,2,-1e300\n1,,0\n1,,0\n"));
  ASSERT_TRUE(scan.ok()) << scan.status();
  EXPECT_EQ(scan->worst.size(), 4u);
  EXPECT_TRUE(std::isfinite(scan->max_score));
}

}  // namespace
}  // namespace driftseal::fingerprint
