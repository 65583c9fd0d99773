// TLS and mutual TLS, and the curl command as a client of both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/serve/certificates.h"
#include "tests/engine/serve/http_fixture.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace driftseal::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;

class HttpTls : public ::testing::Test {
 protected:
  HttpTls() : authority_("authority"), server_("engine", &authority_), client_("registry.example.org", &authority_) {
    ca_ = folder_.Write("ca.pem", authority_.Pem());
    options_ = HttpFixture::LoopbackOptions();
    options_.tls_cert = folder_.Write("cert.pem", server_.Pem());
    options_.tls_key = folder_.Write("key.pem", server_.KeyPem());
  }
  ProcessResult Curl(int port, const std::string& path, std::vector<std::string> more = {}) {
    std::vector<std::string> command = {"/usr/bin/curl", "-sS", "--max-time", "20", "--cacert", ca_};
    command.insert(command.end(), more.begin(), more.end());
    command.push_back("https://127.0.0.1:" + std::to_string(port) + path);
    return driftseal::testing::Run(command);
  }
  TempFolder folder_;
  Certificate authority_, server_, client_;
  std::string ca_;
  serve::Options options_;
};

TEST_F(HttpTls, CurlScores) {
  HttpFixture fixture(options_);
  const ProcessResult result =
      Curl(fixture.port(), "/v1/score", {"-H", "Content-Type: application/json", "-d", R"({"detector":"tls"})"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["detector"], "tls");
  const ProcessResult lines = Curl(fixture.port(), "/v1/artifacts?folder=3", {"-N"});
  EXPECT_EQ(std::count(lines.out.begin(), lines.out.end(), '\n'), 3);
}

TEST_F(HttpTls, OldProtocolsAndPlainTextAreRefused) {
  HttpFixture fixture(options_);
  EXPECT_NE(Curl(fixture.port(), "/health", {"--tls-max", "1.1"}).code, 0);
  EXPECT_EQ(Curl(fixture.port(), "/health", {"--tls-max", "1.2"}).code, 0);
  RawClient plain(fixture.port());
  plain.Send(Get("/health"));
  const std::string said = plain.ReadSome();
  EXPECT_EQ(said.find("HTTP/"), std::string::npos);
}

TEST_F(HttpTls, HandshakesEndInTime) {
  options_.handshake_timeout_ms = 200;
  HttpFixture fixture(options_);
  EXPECT_TRUE(RawClient(fixture.port()).Closed());
}

TEST_F(HttpTls, MutualTlsTellsWhoCalls) {
  options_.tls_client_ca = ca_;
  HttpFixture fixture(options_);
  const std::vector<std::string> score = {
      "-H", "Content-Type: application/json", "-H", "x-driftseal-certificate: root", "-d", "{}"};
  EXPECT_NE(Curl(fixture.port(), "/v1/score", score).code, 0);
  const Certificate stranger("stranger");
  std::vector<std::string> wrong = score, right = score;
  wrong.insert(wrong.end(),
               {"--cert", folder_.Write("s.pem", stranger.Pem()), "--key", folder_.Write("s.key", stranger.KeyPem())});
  EXPECT_NE(Curl(fixture.port(), "/v1/score", wrong).code, 0);
  right.insert(right.end(),
               {"--cert", folder_.Write("c.pem", client_.Pem()), "--key", folder_.Write("c.key", client_.KeyPem())});
  const ProcessResult result = Curl(fixture.port(), "/v1/score", right);
  EXPECT_EQ(result.code, 0) << result.err;
  const auto metadata = fixture.engine.Metadata();
  EXPECT_THAT(metadata, Contains(Pair("x-driftseal-certificate", "registry.example.org")));
  EXPECT_EQ(metadata.count("x-driftseal-certificate"), 1);
}

TEST_F(HttpTls, CertificatesCanBeReplaced) {
  HttpFixture fixture(options_);
  EXPECT_EQ(Curl(fixture.port(), "/healthz").code, 0);
  const Certificate other("other"), next("engine", &other);
  folder_.Write("cert.pem", next.Pem());
  folder_.Write("key.pem", "nonsense");
  EXPECT_FALSE(fixture.server->ReloadCertificates().ok());
  EXPECT_EQ(Curl(fixture.port(), "/healthz").code, 0);
  folder_.Write("key.pem", next.KeyPem());
  EXPECT_TRUE(fixture.server->ReloadCertificates().ok());
  EXPECT_NE(Curl(fixture.port(), "/healthz").code, 0);
  ca_ = folder_.Write("other.pem", other.Pem());
  EXPECT_EQ(Curl(fixture.port(), "/healthz").code, 0);
}

TEST_F(HttpTls, BadFilesAreNamed) {
  options_.tls_key = folder_.Write("broken.pem", "nothing");
  const auto started = serve::HttpServer::Start(options_, serve::HttpParts());
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(std::string(started.status().message()), HasSubstr("tls_key: "));
  EXPECT_THAT(std::string(started.status().message()), HasSubstr("broken.pem"));
}

TEST(HttpCurl, SpeaksPlainHttp) {
  HttpFixture fixture;
  const std::string base = "http://127.0.0.1:" + std::to_string(fixture.port());
  ProcessResult result =
      driftseal::testing::Run({"/usr/bin/curl", "-sS", "-i", "--max-time", "20", base + "/score", "-H",
                               "Content-Type: application/json", "-d", R"({"meta_path": "m.meta.json"})"});
  EXPECT_THAT(result.out, HasSubstr("HTTP/1.1 200 OK"));
  EXPECT_THAT(result.out, HasSubstr("m.meta.json"));
  // More than a kilobyte: curl asks first (Expect: 100-continue).
  TempFolder folder;
  std::string body = R"({"rows":{"cols":1,"values":[1)";
  for (int i = 1; i < 1'000'000; ++i) body += ",1";
  const std::string file = folder.Write("body.json", body + "]}}");
  result = driftseal::testing::Run({"/usr/bin/curl", "-sS", "--max-time", "60", base + "/v1/score", "-H",
                                    "Content-Type: application/json", "--data-binary", "@" + file});
  EXPECT_EQ(nlohmann::json::parse(result.out)["combined"].size(), 1'000'000);
  result = driftseal::testing::Run({"/usr/bin/curl", "-sS", "--max-time", "20", "-I", base + "/health"});
  EXPECT_THAT(result.out, HasSubstr("HTTP/1.1 200 OK"));
}

}  // namespace
}  // namespace driftseal::testing
