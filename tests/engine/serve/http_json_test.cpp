#include "engine/serve/http_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "driftseal/v1/predictions.pb.h"
#include "driftseal/v1/scoring.pb.h"

namespace driftseal::serve {
namespace {

using ::testing::HasSubstr;

std::string Refusal(std::string_view text) {
  v1::ScoreRequest request;
  const absl::Status status = FromJson(text, &request);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  return std::string(status.message());
}

TEST(HttpJson, TakesFieldsByBothNames) {
  v1::SanitizeRequest request;
  ASSERT_TRUE(FromJson(R"({"predictions_path":"a.csv","outputPath":"b.csv","contamination":0.25})", &request).ok());
  EXPECT_EQ(request.predictions_path(), "a.csv");
  EXPECT_EQ(request.output_path(), "b.csv");
  EXPECT_EQ(request.contamination(), 0.25);
}

TEST(HttpJson, EmptyTextIsAnEmptyMessage) {
  v1::ScoreRequest request;
  EXPECT_TRUE(FromJson("", &request).ok());
  EXPECT_TRUE(FromJson(" \r\n", &request).ok());
  EXPECT_EQ(request.ByteSizeLong(), 0);
}

TEST(HttpJson, ReadsNumbersThatJsonLacks) {
  v1::ScoreRequest request;
  ASSERT_TRUE(FromJson(R"({"rows":{"cols":3,"values":["NaN","-Infinity",1.5]}})", &request).ok());
  EXPECT_TRUE(std::isnan(request.rows().values(0)));
  EXPECT_EQ(request.rows().values(1), -std::numeric_limits<float>::infinity());
  EXPECT_EQ(request.rows().values(2), 1.5f);
}

TEST(HttpJson, ReadsPackedRows) {
  v1::ScoreRequest request;
  ASSERT_TRUE(FromJson(R"({"rows":{"cols":1,"float32_le":"AACAPw=="}})", &request).ok());
  EXPECT_EQ(request.rows().float32_le(), std::string("\0\0\x80\x3f", 4));
}

TEST(HttpJson, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(Refusal(R"({"detectr":"x"})"), HasSubstr("unknown field \"detectr\""));
  EXPECT_THAT(Refusal(R"({"rows":{"columns":1}})"), HasSubstr("columns"));
  EXPECT_THAT(Refusal(R"({"rows":{"cols":-1}})"), HasSubstr("rows.cols"));
  EXPECT_THAT(Refusal(R"({"rows":{"cols":1.5}})"), HasSubstr("rows.cols"));
  EXPECT_THAT(Refusal(R"({"rows":{"cols":4294967296}})"), HasSubstr("rows.cols"));
  EXPECT_THAT(Refusal(R"({"rows":{"values":[1e39]}})"), HasSubstr("rows.values[0]"));
  EXPECT_THAT(Refusal(R"({"detector":5})"), HasSubstr("detector"));
  EXPECT_THAT(Refusal(R"({"detail":"DETAIL_ALL"})"), HasSubstr("detail"));
  EXPECT_THAT(Refusal(R"({"rows":{"float32_le":"%%"}})"), HasSubstr("float32_le"));
}

TEST(HttpJson, TakesStrictJsonAlone) {
  for (const char* text : {"{'detector':\"x\"}", "{detector:\"x\"}", "{\"detector\":\"x\",}", "{} x", "{\"rows\":{}",
                           "[]", "null", "5", "\"x\"", "{\"detector\":\"\xff\"}", "{\"detector\":\"\\ud800\"}",
                           "{\"rows\":{\"cols\":01}}", "{\"rows\":{\"values\":[NaN]}}", "// {}", "{\"a\" \"b\"}"}) {
    EXPECT_THAT(Refusal(text), HasSubstr("body")) << text;
  }
}

TEST(HttpJson, RefusesAFieldGivenTwice) {
  EXPECT_THAT(Refusal(R"({"detector":"a","detector":"b"})"), HasSubstr("\"detector\" is there twice"));
  EXPECT_THAT(Refusal(R"({"rows":{"float32Le":"","float32_le":""}})"), HasSubstr("twice"));
}

TEST(HttpJson, RefusesDepth) {
  std::string deep = "{\"rows\":";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  EXPECT_THAT(Refusal(deep), HasSubstr("body"));
}

TEST(HttpJson, MessagesStayShortAndWhole) {
  const std::string long_name(100'000, 'x');
  const std::string message = Refusal("{\"" + long_name + "\":1}");
  EXPECT_LT(message.size(), 1000);
}

TEST(HttpJson, WritesWhatTheMappingSays) {
  v1::ScoreResponse response;
  response.set_detector("d@1");
  response.add_combined(std::numeric_limits<double>::quiet_NaN());
  response.add_p_value(0.1);
  std::string text;
  ASSERT_TRUE(ToJson(response, &text).ok());
  EXPECT_EQ(text,
            R"({"detector":"d@1","combined":["NaN"],"p_value":[0.1],"members":[],"member_scores":[],"details":[]})");
}

TEST(HttpJson, ComesBackAsItWas) {
  v1::ScoreRequest request, back;
  for (const float value : {0.1f, 1e-38f, 3.4e38f, -1.5f, std::numeric_limits<float>::denorm_min()}) {
    request.mutable_rows()->add_values(value);
  }
  request.set_detector("name \"quoted\" \u00e4 \n");
  std::string text;
  ASSERT_TRUE(ToJson(request, &text).ok());
  ASSERT_TRUE(FromJson(text, &back).ok());
  EXPECT_EQ(request.SerializeAsString(), back.SerializeAsString());
}

}  // namespace
}  // namespace driftseal::serve
