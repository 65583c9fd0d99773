#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/app/fleet.h"

// `score` over a CSV of rows, for detectors that were fitted on anything.
namespace driftseal::testing {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::HasSubstr;

class RowsTest : public FleetTest {
 protected:
  // A CSV with the columns of the detector's schema, whose cells are `cell` of the column's index.
  template <class Cell>
  static std::string Csv(int rows, Cell cell, bool names = true) {
    const ordered_json schema = ordered_json::parse(Driftseal({"schema", "--format", "json"}).out);
    std::string text;
    const size_t columns = schema["features"].size();
    for (size_t c = 0; c < columns; ++c) {
      const std::string name = names ? schema["features"][c]["name"].get<std::string>() : absl::StrCat("c", c);
      absl::StrAppend(&text, c > 0 ? "," : "", name);
    }
    for (int row = 0; row < rows; ++row) {
      text += '\n';
      for (size_t c = 0; c < columns; ++c) absl::StrAppend(&text, c > 0 ? "," : "", cell(row, c));
    }
    return text + '\n';
  }
};

// The fleet's detector is of several families, so a row belongs to none: scored, and uncalibrated.
TEST_F(RowsTest, EveryRowIsScoredByEveryMember) {
  const auto cell = [](int row, size_t c) { return std::to_string(row + static_cast<int>(c) % 5) + ".5"; };
  folder_.Write("rows.csv", Csv(3, cell));
  const ProcessResult result = Screen("score", "rows.csv", {"--format", "json", "--output-path", "out.json"});
  EXPECT_THAT(result, ExitsWith(4));
  const ordered_json scored = JsonOf(result, "rows");
  EXPECT_EQ(folder_.Read("out.json"), result.out);
  ASSERT_EQ(scored["rows"].size(), 3u);
  for (size_t row = 0; row < 3; ++row) {
    EXPECT_EQ(scored["rows"][row]["row"], row + 1);
    EXPECT_EQ(scored["rows"][row]["p_value"], nullptr);
    for (const char* member : {"autoencoder", "forest", "svm", "mahalanobis", "knn"}) {
      EXPECT_TRUE(scored["rows"][row]["members"][member]["raw"].is_number()) << member;
    }
  }
  EXPECT_NE(scored["rows"][0]["combined"], scored["rows"][2]["combined"]);
  folder_.Write("positions.csv", Csv(3, cell, false));
  const ProcessResult positions = Screen("score", "positions.csv", {"--format", "json"});
  EXPECT_EQ(JsonOf(positions, "rows")["rows"], scored["rows"]) << "by position where no name is a feature's";
  EXPECT_THAT(Screen("score", "rows.csv").out,
              AllOf(HasSubstr("COMBINED"), HasSubstr("mahalanobis"), HasSubstr("\n3 ")));
}

// Whatever computes, it says so, and the scores are the same but for their last digits.
TEST_F(RowsTest, TheBackendThatWasAskedForComputes) {
  const auto cell = [](int row, size_t c) { return absl::StrCat((row * 37 + static_cast<int>(c) * 11) % 23, ".25"); };
  folder_.Write("rows.csv", Csv(40, cell));
  const ProcessResult exact = Screen("score", "rows.csv", {"--format", "json", "--backend", "reference"});
  EXPECT_THAT(exact.err, HasSubstr("backend: reference"));
  const ordered_json want = JsonOf(exact, "rows")["rows"];
  for (const char* backend : {"auto", "simd"}) {
    const ProcessResult fast = Screen("score", "rows.csv", {"--format", "json", "--backend", backend});
    EXPECT_THAT(fast, ExitsWith(exact.code));
    EXPECT_THAT(fast.err, HasSubstr("backend: simd ("));
    const ordered_json got = JsonOf(fast, "rows")["rows"];
    ASSERT_EQ(got.size(), want.size());
    for (size_t row = 0; row < want.size(); ++row) {
      for (const auto& [member, scores] : want[row]["members"].items()) {
        const double expected = scores["raw"];
        EXPECT_NEAR(got[row]["members"][member]["raw"].get<double>(), expected, 2e-5 * (1 + std::abs(expected)))
            << member << ", row " << row;
      }
    }
  }
  const ProcessResult cuda = Screen("score", "rows.csv", {"--backend", "cuda"});
  if (cuda.code == 3) {
    EXPECT_THAT(cuda.err, HasSubstr("backend cuda cannot run here: "));
  } else {
    EXPECT_THAT(cuda.err, HasSubstr("backend: cuda ("));
  }
}

TEST_F(RowsTest, BadRowsAreErrorsThatNameFileAndColumn) {
  const auto number = [](int, size_t) { return std::string("1"); };
  const std::string good = Csv(2, number);
  struct Bad {
    std::string text, said;
  };
  const std::string first = good.substr(0, good.find(','));
  for (const Bad& bad :
       {Bad{"a,b\n1,2\n", "the file has 2"},
        Bad{"other" + good.substr(first.size()), "column " + first + " is missing"}, Bad{Csv(0, number), "no rows"},
        Bad{Csv(1, [](int, size_t c) { return std::string(c == 3 ? "abc" : "1"); }), "expected numbers"},
        Bad{good.substr(0, good.size() - 3) + "\n", "line 3"}, Bad{"", "rows.csv"}}) {
    folder_.Write("rows.csv", bad.text);
    const ProcessResult result = Screen("score", "rows.csv");
    EXPECT_THAT(result, ExitsWith(3)) << bad.said;
    EXPECT_THAT(result.err, AllOf(HasSubstr("rows.csv"), HasSubstr(bad.said)));
  }
}

}  // namespace
}  // namespace driftseal::testing
