#include "engine/serve/http_openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "nlohmann/json.hpp"
#include "tests/support/temp_folder.h"

namespace driftseal::serve {
namespace {

using nlohmann::json;

class OpenApiTest : public ::testing::Test {
 protected:
  OpenApiTest() : text_(OpenApi(*HttpRoutes::OfContract())), document_(json::parse(text_)) {}
  const json& Schema(const char* name) { return document_["components"]["schemas"][name]; }
  std::string text_;
  json document_;
};

TEST_F(OpenApiTest, CommittedFileIsUpToDate) {
  EXPECT_EQ(testing::ReadFile(DRIFTSEAL_SOURCE_DIR "/docs/openapi.json"), text_)
      << "make it again: cmake --build build --target openapi";
}

TEST_F(OpenApiTest, TellsOfEveryRoute) {
  const HttpRoutes routes = *HttpRoutes::OfContract();
  for (const HttpRoute& route : routes.all()) {
    const char* verb = route.http_method == "GET" ? "get" : "post";
    ASSERT_TRUE(document_["paths"].contains(route.path)) << route.path;
    const json& operation = document_["paths"][route.path][verb];
    EXPECT_GT(operation["description"].get<std::string>().size(), 10) << route.path;
    EXPECT_EQ(operation.contains("requestBody"), route.http_method == "POST") << route.path;
  }
  std::set<std::string> ids;
  for (const auto& [path, verbs] : document_["paths"].items()) {
    for (const auto& [verb, operation] : verbs.items()) EXPECT_TRUE(ids.insert(operation["operationId"]).second);
  }
}

TEST_F(OpenApiTest, EveryReferenceLeadsSomewhere) {
  std::function<void(const json&)> walk = [&](const json& value) {
    if (value.is_object() && value.contains("$ref")) {
      const std::string to = value["$ref"];
      EXPECT_NO_THROW(document_.at(json::json_pointer(to.substr(1)))) << to;
    }
    if (value.is_structured()) {
      for (const json& inner : value) walk(inner);
    }
  };
  walk(document_);
}

TEST_F(OpenApiTest, SchemasFollowTheJsonMapping) {
  const json& sanitize = Schema("SanitizeResponse")["properties"];
  EXPECT_EQ(sanitize["rows"]["type"], "string");
  EXPECT_EQ(Schema("Rows")["additionalProperties"], false);
  EXPECT_EQ(Schema("Rows")["properties"]["float32_le"]["contentEncoding"], "base64");
  EXPECT_TRUE(Schema("Rows")["properties"]["values"]["items"].contains("oneOf"));
  EXPECT_EQ(Schema("Operation")["properties"]["created"]["format"], "date-time");
  EXPECT_EQ(Schema("Signal")["properties"]["evidence"]["type"], "object");
  const json required = Schema("ModelScore")["required"];
  EXPECT_THAT(required, ::testing::Contains("combined"));
  EXPECT_THAT(required, ::testing::Not(::testing::Contains("p_value")));
}

TEST_F(OpenApiTest, DescriptionsAreTheCommentsOfTheContract) {
  EXPECT_EQ(Schema("Rows")["description"],
            "A matrix of numbers, row by row. NaN is a missing value; infinite values are refused.");
  EXPECT_THAT(document_["paths"]["/v1/verify"]["post"]["description"].get<std::string>(),
              ::testing::HasSubstr("Scope of the token: `verify`"));
}

}  // namespace
}  // namespace driftseal::serve
