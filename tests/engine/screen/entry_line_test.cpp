#include "engine/screen/entry_line.h"

#include <cmath>
#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace driftseal::screen {
namespace {

using nlohmann::ordered_json;

TEST(EntryLines, TheScoresOwnPValueAndNotOneOfTheEvidence) {
  EntryLines lines;
  std::string line =
      R"({"path":"a\"}{","p_value":0.9,"score":{"members":{"forest":{"p_value":0.8}},"p_value":0.25,"fitted_on":3},)"
      R"("signals":[{"evidence":{"p_value":0.7}}]})";
  const auto p = lines.PValue(line);
  ASSERT_TRUE(p.ok()) << p.status();
  EXPECT_EQ(*p, 0.25);
}

TEST(EntryLines, NoScoreAndNoPValueAreNaN) {
  EntryLines lines;
  for (std::string line :
       {R"({"path":"a","verdict":"error","error":"x"})", R"({"score":{"combined":1,"p_value":null}})"}) {
    const auto p = lines.PValue(line);
    ASSERT_TRUE(p.ok()) << p.status();
    EXPECT_TRUE(std::isnan(*p)) << line;
  }
}

TEST(EntryLines, TheQValueIsTheScoresLastFieldAndNothingElseChanges) {
  EntryLines lines;
  const std::string before =
      R"({"path":"}\\\"é","score":{"combined":1.5,"members":{"a":{"raw":2}},"p_value":0.0196078431372549},)"
      R"("files":[{}]})";
  for (const double q : {0.1, 1.0, 0.03921568627450980, 1e-300}) {
    std::string line = before;
    ASSERT_TRUE(lines.AddQValue(q, line).ok());
    ordered_json expected = ordered_json::parse(before);
    expected["score"]["q_value"] = q;
    EXPECT_EQ(line, expected.dump());
  }
}

TEST(EntryLines, LinesOfEveryLengthAfterEachOther) {
  EntryLines lines;
  for (const size_t length : {5, 100'000, 0, 17, 4096, 70'000}) {
    std::string line = ordered_json{{"path", std::string(length, 'x')}, {"score", {{"p_value", 0.5}}}}.dump();
    line.shrink_to_fit();
    EXPECT_EQ(lines.PValue(line).value(), 0.5) << length;
    ASSERT_TRUE(lines.AddQValue(0.75, line).ok());
    EXPECT_EQ(ordered_json::parse(line)["score"]["q_value"], 0.75) << length;
  }
}

TEST(EntryLines, WhatIsNoEntryIsAnError) {
  EntryLines lines;
  for (std::string line : {"", "[1]", "7", R"({"score":{"p_value":"0.5"}})", R"({"score":[]})",
                           R"({"score":{"combined":1}})", R"({"score":{"p_value":)"}) {
    EXPECT_EQ(lines.PValue(line).status().code(), absl::StatusCode::kDataLoss) << line;
  }
  for (std::string line : {"", "[1]", R"({"path":"a"})", R"({"score":null})", R"({"score":{"p_value":0.5)"}) {
    EXPECT_EQ(lines.AddQValue(0.5, line).code(), absl::StatusCode::kDataLoss) << line;
  }
}

}  // namespace
}  // namespace driftseal::screen
