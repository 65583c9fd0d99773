#include "engine/serve/http_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "driftseal/v1/detectors.pb.h"
#include "driftseal/v1/options.pb.h"
#include "driftseal/v1/scoring.pb.h"
#include "engine/serve/http_openapi.h"
#include "google/protobuf/descriptor.pb.h"

namespace driftseal::serve {
namespace {

using ::testing::HasSubstr;

class HttpRoutesTest : public ::testing::Test {
 protected:
  HttpRoutesTest() : routes_(*HttpRoutes::OfContract()) {}
  HttpRoutes::Match Find(std::string_view method, std::string_view path) { return *routes_.Find(method, path); }
  HttpRoutes routes_;
};

TEST_F(HttpRoutesTest, ReachEveryMethodWithARule) {
  size_t paths = 0;
  google::protobuf::FileDescriptorSet set;
  const std::string_view bytes = ContractDescriptors();
  ASSERT_TRUE(set.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  std::set<std::string> services, known;
  for (const auto& file : set.file()) {
    for (const auto& service : file.service()) {
      services.insert(file.package() + "." + service.name());
      for (const auto& method : service.method()) {
        ASSERT_TRUE(method.options().HasExtension(v1::rule)) << method.name();
        paths += static_cast<size_t>(method.options().GetExtension(v1::rule).http_paths_size());
      }
    }
  }
  for (const auto* service : ServicesOfContract()) known.insert(service->full_name());
  EXPECT_EQ(known, services);
  EXPECT_EQ(routes_.all().size(), paths);
}

TEST_F(HttpRoutesTest, FindsTheSeedsPaths) {
  EXPECT_EQ(Find("POST", "/score").route->rpc, "/driftseal.v1.Predictions/ScoreModel");
  EXPECT_EQ(Find("POST", "/sanitize_predictions").route->rpc, "/driftseal.v1.Predictions/Sanitize");
  EXPECT_EQ(Find("POST", "/retrain_plan").route->rpc, "/driftseal.v1.Predictions/RetrainPlan");
}

TEST_F(HttpRoutesTest, DecodesFieldsOfThePath) {
  const auto match = Find("GET", "/v1/detectors/a%2Fb%20%C3%A4@3");
  ASSERT_NE(match.route, nullptr);
  v1::GetDetectorRequest request;
  ASSERT_TRUE(FillRequest(*match.route, match.captures, "", "", &request).ok());
  EXPECT_EQ(request.detector(), "a/b \u00e4@3");
  EXPECT_EQ(Find("GET", "/v1/operations/x/watch").route->rpc, "/driftseal.v1.Detectors/WatchOperation");
}

TEST_F(HttpRoutesTest, RefusesBrokenEscapes) {
  for (const char* path : {"/v1/detectors/%", "/v1/detectors/%4", "/v1/detectors/%zz", "/v1/detectors/a%00b",
                           "/v1/detectors/%ff", "/v1/detectors/%c3"}) {
    EXPECT_EQ(routes_.Find("GET", path).status().code(), absl::StatusCode::kInvalidArgument) << path;
  }
}

TEST_F(HttpRoutesTest, KnowsNoOtherPaths) {
  for (const char* path :
       {"", "/", "/v1", "/v1/", "/v1/score/", "//v1/score", "/v1//score", "/V1/score", "/v1/detectors/",
        "/v1/detectors/a/b", "/v1/operations//watch", "v1/score", "/v1/score%20"}) {
    EXPECT_TRUE(Find("GET", path).allow.empty() || std::string_view(path) == "/v1/detectors/a/b") << path;
    EXPECT_EQ(Find("GET", path).route, nullptr) << path;
  }
}

TEST_F(HttpRoutesTest, TellsWhatAPathTakes) {
  EXPECT_EQ(Find("GET", "/v1/score").route, nullptr);
  EXPECT_EQ(Find("GET", "/v1/score").allow, "POST, OPTIONS");
  EXPECT_EQ(Find("DELETE", "/v1/detectors/a").allow, "GET, HEAD, OPTIONS");
  EXPECT_NE(Find("HEAD", "/v1/detectors/a").route, nullptr);
}

class FillRequestTest : public HttpRoutesTest {
 protected:
  absl::Status Query(std::string_view query) {
    const auto match = Find("GET", "/v1/artifacts");
    return FillRequest(*match.route, match.captures, query, "", &artifacts_);
  }
  v1::ListArtifactsRequest artifacts_;
};

TEST_F(FillRequestTest, ReadsTheQuery) {
  ASSERT_TRUE(Query("folder=a%26b+c&metaGlob=%2A.json").ok());
  EXPECT_EQ(artifacts_.folder(), "a&b c");
  EXPECT_EQ(artifacts_.meta_glob(), "*.json");
  ASSERT_TRUE(Query("folder=&&").ok());
  ASSERT_TRUE(Query("folder").ok());
}

TEST_F(FillRequestTest, RefusesUnknownParametersByName) {
  EXPECT_THAT(std::string(Query("foldr=x").message()), HasSubstr("\"foldr\""));
  EXPECT_THAT(std::string(Query("folder=a&folder=b").message()), HasSubstr("folder: is there twice"));
  EXPECT_FALSE(Query("folder=%").ok());
  EXPECT_FALSE(Query("=x").ok());
  std::string many = "folder=";
  for (int i = 0; i < 2000; ++i) many += "&folder=";
  EXPECT_FALSE(Query(many).ok());
}

TEST_F(FillRequestTest, PostHasItsFieldsInTheBody) {
  const auto match = Find("POST", "/v1/score");
  v1::ScoreRequest request;
  EXPECT_THAT(std::string(FillRequest(*match.route, {}, "access_token=s", "{}", &request).message()),
              HasSubstr("\"access_token\""));
  EXPECT_TRUE(FillRequest(*match.route, {}, "", R"({"detector":"d"})", &request).ok());
  EXPECT_EQ(request.detector(), "d");
}

TEST_F(FillRequestTest, BodyAndPathMustAgree) {
  const auto match = Find("POST", "/v1/operations/fit-1/cancel");
  v1::CancelOperationRequest request;
  EXPECT_TRUE(FillRequest(*match.route, match.captures, "", R"({"name":"fit-1"})", &request).ok());
  EXPECT_FALSE(FillRequest(*match.route, match.captures, "", R"({"name":"fit-2"})", &request).ok());
  v1::CancelOperationRequest empty;
  EXPECT_TRUE(FillRequest(*match.route, match.captures, "", "", &empty).ok());
  EXPECT_EQ(empty.name(), "fit-1");
}

TEST_F(FillRequestTest, GetHasNoBody) {
  const auto match = Find("GET", "/v1/artifacts");
  EXPECT_FALSE(FillRequest(*match.route, {}, "", "{}", &artifacts_).ok());
}

}  // namespace
}  // namespace driftseal::serve
