#include "engine/screen/report.h"

#include <cmath>
#include <string>

#include "engine/screen/fleet.h"
#include "gmock/gmock.h"
#include "tests/support/json_schema.h"

namespace driftseal::screen {
namespace {

using nlohmann::json;
using ::testing::IsEmpty;
using testing::PublishedSchemaErrors;
using testing::SchemaErrors;

Tally TallyOf(size_t pass, size_t review, size_t quarantine, size_t inconclusive, size_t errors, size_t skipped = 0) {
  return {pass + review + quarantine + inconclusive + errors + skipped,
          pass,
          review,
          quarantine,
          inconclusive,
          errors,
          skipped};
}

TEST(ExitCode, TheFirstOfFlaggedErrorInconclusive) {
  EXPECT_EQ(ExitCode(TallyOf(0, 0, 0, 0, 0)), 0);
  EXPECT_EQ(ExitCode(TallyOf(5, 0, 0, 0, 0, 2)), 0);
  EXPECT_EQ(ExitCode(TallyOf(5, 0, 0, 1, 0)), 4);
  EXPECT_EQ(ExitCode(TallyOf(5, 0, 0, 1, 1)), 3);
  EXPECT_EQ(ExitCode(TallyOf(5, 1, 0, 1, 1)), 1);
  EXPECT_EQ(ExitCode(TallyOf(5, 0, 1, 0, 0)), 1);
}

TEST(Count, EveryVerdictIsCountedOnce) {
  Tally tally;
  for (const char* verdict : {"pass", "pass", "review", "quarantine", "inconclusive", "error", "skipped", "skipped"}) {
    Count(nlohmann::ordered_json({{"path", "a"}, {"verdict", verdict}}), tally);
  }
  EXPECT_EQ(ToJson(tally).dump(),
            R"({"models":8,"pass":2,"review":1,"quarantine":1,"inconclusive":1,"error":1,"skipped":2})");
}

Result Screened() {
  Result result;
  result.path = "a/b.meta.json";
  result.model_name = "b";
  result.fingerprint.family = {"vision", "classification", "0123456789abcdef"};
  result.fingerprint.format = artifact::Format::kSafetensors;
  result.fingerprint.covariates = {{"epochs", 12}};
  result.fingerprint.missing = {{0, 2, "not recorded"}};
  fingerprint::FileEvidence file{"model", "b.safetensors", artifact::Digest(), artifact::Digest(),
                                 absl::InvalidArgumentError("b.safetensors: torn")};
  result.fingerprint.files = {file};
  result.score.emplace();
  result.score->members = {{"knn", 0.5, std::nan("")}};
  result.score->p_value = 0.25;
  result.score->remark = "imputed";
  result.verdict = Decide({{"no-detector", Severity::kUnknown, "none", {}}});
  return result;
}

// Through Dump, as a report writes it: NaN becomes null there.
json AsWritten(const Result& result) { return json::parse(Dump(ToJson(result))); }

TEST(ResultJson, IsValidByThePublishedSchema) {
  const json entry = AsWritten(Screened());
  EXPECT_THAT(PublishedSchemaErrors("report#/$defs/model", entry), IsEmpty());
  EXPECT_EQ(entry["family"], "vision/classification/0123456789abcdef");
  EXPECT_EQ(entry["score"]["members"]["knn"]["normalised"], nullptr);
  EXPECT_EQ(entry["signals"][0]["evidence"], json::object());
  EXPECT_EQ(entry["files"][0]["recorded_sha256"], std::string(64, '0'));
  EXPECT_EQ(entry["files"][0]["error"], "b.safetensors: torn");
  EXPECT_EQ(entry["missing"][0]["count"], 2);
}

TEST(ResultJson, AnErrorHasNoVerdictOfItsOwn) {
  Result result;
  result.path = "broken.meta.json";
  result.error = absl::InvalidArgumentError("broken.meta.json: no JSON");
  const json entry = AsWritten(result);
  EXPECT_EQ(entry["verdict"], "error");
  EXPECT_EQ(entry["error"], "broken.meta.json: no JSON");
  EXPECT_THAT(PublishedSchemaErrors("report#/$defs/model", entry), IsEmpty());
}

TEST(ResultJson, ASkippedModelHasNoSignals) {
  Result result = Screened();
  result.skipped = true;
  const json entry = AsWritten(result);
  EXPECT_EQ(entry["verdict"], "skipped");
  EXPECT_FALSE(entry.contains("signals"));
  EXPECT_THAT(PublishedSchemaErrors("report#/$defs/model", entry), IsEmpty());
}

TEST(ResultJson, ANameThatIsNotUtf8CanBeWritten) {
  Result result = Screened();
  result.path = "bad\xff\xfename";
  const json entry = AsWritten(result);
  EXPECT_EQ(entry["path"], "bad\xEF\xBF\xBD\xEF\xBF\xBDname");
}

// The checker that the other tests rely on does find things.
TEST(SchemaChecker, FindsWhatIsWrong) {
  json entry = AsWritten(Screened());
  entry["verdict"] = "fine";
  EXPECT_THAT(PublishedSchemaErrors("report#/$defs/screened", entry), ::testing::SizeIs(1));
  entry = AsWritten(Screened());
  entry.erase("signals");
  EXPECT_THAT(PublishedSchemaErrors("report#/$defs/screened", entry), ::testing::ElementsAre("/: signals is missing"));
  entry = AsWritten(Screened());
  entry["surprise"] = 1;
  EXPECT_FALSE(PublishedSchemaErrors("report#/$defs/model", entry).empty());
  entry = AsWritten(Screened());
  entry["files"][0]["actual_sha256"] = "ABC";
  EXPECT_THAT(PublishedSchemaErrors("report#/$defs/screened", entry), ::testing::SizeIs(1));
  entry["files"][0]["actual_sha256"] = 5;
  EXPECT_THAT(PublishedSchemaErrors("report#/$defs/screened", entry), ::testing::SizeIs(1));
}

TEST(SchemaChecker, RefusesAKeywordThatItWouldIgnore) {
  EXPECT_THROW(SchemaErrors({{"minLength", 3}}, "a"), std::invalid_argument);
  EXPECT_THAT(SchemaErrors({{"type", {"string", "null"}}}, nullptr), IsEmpty());
  EXPECT_FALSE(SchemaErrors({{"type", "integer"}, {"minimum", 0}}, -1).empty());
  EXPECT_FALSE(SchemaErrors({{"type", "array"}, {"items", {{"type", "number"}}}, {"maxItems", 2}}, {1, 2, 3}).empty());
  EXPECT_FALSE(SchemaErrors({{"oneOf", {{{"const", 1}}, {{"type", "integer"}}}}}, 1).empty()) << "two match";
}

}  // namespace
}  // namespace driftseal::screen
