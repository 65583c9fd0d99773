// The gateway in front of the real engine: tokens, limits and paths hold over HTTP as over gRPC.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "engine/serve/engine.h"
#include "engine/serve/server.h"
#include "engine/serve/tokens.h"
#include "tests/engine/serve/http_fixture.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace driftseal::testing {
namespace {

using ::testing::HasSubstr;

class HttpEngine : public ::testing::Test {
 protected:
  HttpEngine() {
    options_.grpc_listen = "";
    options_.http_listen = "127.0.0.1:0";
    options_.artifact_root = folder_.string() + "/models";
    options_.model_dir = folder_.string() + "/none";
    options_.state_dir = folder_.string() + "/state";
    options_.allow_anonymous = true;
    folder_.Write("models/a.meta.json", "{}");
    folder_.Write("secret.meta.json", "{}");
  }
  ~HttpEngine() override {
    http_.reset();
    server_.reset();
  }
  void Start() {
    log_ = serve::SilentLog();
    auto engine = serve::Engine::Open(options_, log_.get());
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    auto server = serve::Server::Start(*engine_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    serve::HttpParts parts;
    parts.channel = server_->InProcessChannel();
    parts.connections = &server_->connections();
    parts.log = log_.get();
    parts.metrics = engine_->metrics.get();
    parts.health = [this] { return serve::HttpHealth{server_->serving(), {}, "1"}; };
    parts.may_call = [this](std::string_view authorization, std::string_view certificate, int scope) {
      return engine_->gate->MayCall(authorization, certificate, scope);
    };
    auto http = serve::HttpServer::Start(options_, parts);
    ASSERT_TRUE(http.ok()) << http.status();
    http_ = *std::move(http);
  }
  HttpAnswer Ask(const std::string& bytes) { return RawClient(http_->port()).Ask(bytes); }

  TempFolder folder_;
  serve::Options options_;
  std::unique_ptr<serve::Log> log_;
  std::unique_ptr<serve::Engine> engine_;
  std::unique_ptr<serve::Server> server_;
  std::unique_ptr<serve::HttpServer> http_;
};

TEST_F(HttpEngine, TokensAndScopesHold) {
  const std::string tokens = folder_.Write("tokens", *serve::TokenLine("a", {"score"}, "ds_token-of-a", {}) + "\n");
  ASSERT_EQ(chmod(tokens.c_str(), 0600), 0);
  options_.tokens_file = tokens;
  Start();
  const std::string a = "Authorization: Bearer ds_token-of-a\r\n", other = "Authorization: Bearer ds_token-of-b\r\n";
  EXPECT_EQ(Ask(Get("/v1/detectors")).status, 401);
  EXPECT_EQ(Ask(Get("/v1/detectors", other)).status, 401);
  EXPECT_EQ(Ask(Get("/v1/detectors", other)).headers.count("www-authenticate"), 1);
  EXPECT_EQ(Ask(Get("/v1/detectors", a)).status, 200);
  EXPECT_EQ(Ask(Get("/v1/artifacts", a)).status, 403);
  EXPECT_EQ(Ask(Post("/v1/score", "no JSON", other)).status, 401);
  EXPECT_EQ(Ask(Post("/v1/score", "no JSON", a)).status, 400);
  EXPECT_EQ(Ask(Get("/health")).status, 200);
  EXPECT_THAT(Ask(Get("/metrics")).body, HasSubstr("driftseal_"));
}

TEST_F(HttpEngine, EachAddressHasItsOwnRate) {
  options_.client_requests_per_second = 0.001;
  options_.client_burst = 2;
  Start();
  EXPECT_EQ(Ask(Get("/v1/detectors")).status, 200);
  // Nobody gets another's share by saying that it is one.
  const std::string lie = "x-driftseal-peer: ipv4:10.0.0.1:1\r\nx-driftseal-in-process: 1\r\n";
  EXPECT_EQ(Ask(Get("/v1/detectors", lie)).status, 200);
  const HttpAnswer refused = Ask(Get("/v1/detectors", lie));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.headers.count("retry-after"), 1);
  const ProcessResult other = driftseal::testing::Run(
      {"/usr/bin/curl", "-sS", "--max-time", "20", "--interface", "127.0.0.2", "-w", "%{http_code}", "-o", "/dev/null",
       "http://127.0.0.1:" + std::to_string(http_->port()) + "/v1/detectors"});
  EXPECT_EQ(other.out, "200") << other.err;
}

TEST_F(HttpEngine, PathsStayBeneathTheRoot) {
  Start();
  EXPECT_THAT(Ask(Get("/v1/artifacts")).body, HasSubstr("a.meta.json"));
  for (const char* path : {"..", "../secret.meta.json", "%2e%2e/", "/etc", "a/../../x", "a%00b"}) {
    const HttpAnswer answer = Ask(Get(std::string("/v1/artifacts?folder=") + path));
    EXPECT_GE(answer.status, 400) << path;
    EXPECT_LT(answer.status, 500) << path;
  }
  const HttpAnswer score = Ask(Post("/score", R"({"meta_path":"../secret.meta.json"})"));
  EXPECT_THAT(score.body, ::testing::Not(HasSubstr(folder_.string())));
}

TEST_F(HttpEngine, DrainingIsToldToWhoeverAsks) {
  Start();
  RawClient early(http_->port());
  EXPECT_EQ(early.Ask(Get("/health")).status, 200);
  server_->BeginLameDuck();
  EXPECT_EQ(early.Ask(Get("/health")).json()["status"], "draining");
  EXPECT_EQ(early.Ask(Get("/v1/detectors")).status, 200);
  EXPECT_TRUE(http_->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)));
  EXPECT_TRUE(early.Closed());
}

}  // namespace
}  // namespace driftseal::testing
