// HTTP/1.1 as clients of every kind speak it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/serve/http_fixture.h"

namespace driftseal::testing {
namespace {

using ::testing::HasSubstr;

serve::Options Small() {
  serve::Options options = HttpFixture::LoopbackOptions();
  options.max_message_bytes = 1000;
  options.handshake_timeout_ms = 300;
  return options;
}

class HttpProtocol : public ::testing::Test {
 protected:
  HttpFixture fixture_;
};

TEST_F(HttpProtocol, AConnectionServesManyRequests) {
  RawClient client(fixture_.port());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(client.Ask(Get("/healthz")).body, "ok\n");
}

TEST_F(HttpProtocol, PipelinedRequestsAreAnsweredInOrder) {
  RawClient client(fixture_.port());
  std::string all;
  for (int i = 0; i < 50; ++i) {
    all += Post("/v1/score", R"({"detector":"d)" + std::to_string(i) + R"("})");
    all += Get("/healthz");
  }
  client.Send(all);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.Read().json()["detector"], "d" + std::to_string(i));
    EXPECT_EQ(client.Read().body, "ok\n");
  }
}

TEST_F(HttpProtocol, ByteByByteIsARequestToo) {
  RawClient client(fixture_.port());
  for (const char c : Post("/v1/score", R"({"detector":"slow"})")) client.Send({&c, 1});
  EXPECT_EQ(client.Read().json()["detector"], "slow");
}

TEST_F(HttpProtocol, ChunkedBodies) {
  RawClient client(fixture_.port());
  const std::string head =
      "POST /v1/score HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(
      client.Ask(head + "5\r\n{\"det\r\nf;ext=1\r\nector\":\"parts\"}\r\n0\r\nTrailer: x\r\n\r\n").json()["detector"],
      "parts");
  EXPECT_EQ(client.Ask(head + "0\r\n\r\n").status, 200);
  EXPECT_EQ(client.Ask(head + "zz\r\n").status, 400);
  EXPECT_TRUE(client.Closed());
}

TEST_F(HttpProtocol, ExpectContinue) {
  RawClient client(fixture_.port());
  const std::string body = R"({"detector":"asked"})";
  const std::string ask = Post("/v1/score", body, "Expect: 100-continue\r\n");
  client.Send(ask.substr(0, ask.size() - body.size()));
  EXPECT_EQ(client.Read().status, 100);
  EXPECT_EQ(client.Ask(body).json()["detector"], "asked");

  const std::string lost = Post("/v1/nothing", body, "Expect: 100-continue\r\n");
  EXPECT_EQ(client.Ask(lost.substr(0, lost.size() - body.size())).status, 404);
  EXPECT_TRUE(client.Closed());
  EXPECT_EQ(fixture_.Ask(Get("/health", "Expect: miracles\r\n")).status, 417);
}

TEST_F(HttpProtocol, HeadIsGetWithoutItsBody) {
  RawClient client(fixture_.port());
  const std::string length = client.Ask(Get("/openapi.json")).headers.at("content-length");
  client.Send("HEAD /openapi.json HTTP/1.1\r\nHost: e\r\n\r\n");
  EXPECT_EQ(client.Read(true).headers.at("content-length"), length);
  client.Send("HEAD /v1/detectors/d HTTP/1.1\r\nHost: e\r\n\r\n");
  EXPECT_EQ(client.Read(true).status, 200);
  client.Send("HEAD /v1/artifacts?folder=endless HTTP/1.1\r\nHost: e\r\n\r\n");
  EXPECT_EQ(client.Read(true).status, 200);
  EXPECT_TRUE(fixture_.engine.cancelled.Wait());
  EXPECT_EQ(client.Ask(Get("/healthz")).body, "ok\n");
}

TEST_F(HttpProtocol, OptionsAndOtherMethods) {
  RawClient client(fixture_.port());
  HttpAnswer answer = client.Ask("OPTIONS /v1/score HTTP/1.1\r\nHost: e\r\n\r\n");
  EXPECT_EQ(answer.status, 204);
  EXPECT_EQ(answer.headers.at("allow"), "POST, OPTIONS");
  EXPECT_EQ(client.Ask("OPTIONS * HTTP/1.1\r\nHost: e\r\n\r\n").status, 204);
  for (const char* method : {"GET", "DELETE", "PUT", "PATCH", "BREW"}) {
    answer = client.Ask(std::string(method) + " /v1/score HTTP/1.1\r\nHost: e\r\n\r\n");
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.headers.at("allow"), "POST, OPTIONS");
  }
  EXPECT_EQ(client.Ask("POST /health HTTP/1.1\r\nHost: e\r\nContent-Length: 0\r\n\r\n").headers.at("allow"),
            "GET, HEAD, OPTIONS");
  EXPECT_EQ(client.Ask(Get("/nothing")).status, 404);
}

TEST_F(HttpProtocol, MediaTypes) {
  const auto post = [&](std::string_view headers) {
    return fixture_.Ask("POST /v1/score HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\n" + std::string(headers) +
                        "\r\n{}");
  };
  EXPECT_EQ(post("Content-Type: application/json\r\n").status, 200);
  EXPECT_EQ(post("Content-Type: Application/JSON ; charset=utf-8\r\n").status, 200);
  EXPECT_EQ(post("Content-Type: text/plain\r\n").status, 415);
  EXPECT_EQ(post("Content-Type: application/jsonp\r\n").status, 415);
  EXPECT_EQ(post("").status, 415);
  EXPECT_EQ(post("Content-Type: application/json\r\nContent-Encoding: gzip\r\n").status, 415);
}

TEST_F(HttpProtocol, OldAndClosingClients) {
  RawClient old(fixture_.port());
  EXPECT_EQ(old.Ask("GET /healthz HTTP/1.0\r\n\r\n").body, "ok\n");
  EXPECT_TRUE(old.Closed());
  RawClient stream(fixture_.port());
  const HttpAnswer lines = stream.Ask("GET /v1/artifacts?folder=2 HTTP/1.0\r\n\r\n");
  EXPECT_EQ(std::count(lines.body.begin(), lines.body.end(), '\n'), 2);
  EXPECT_FALSE(lines.headers.contains("transfer-encoding"));
  RawClient closing(fixture_.port());
  EXPECT_EQ(closing.Ask(Get("/healthz", "Connection: close\r\n")).headers.at("connection"), "close");
  EXPECT_TRUE(closing.Closed());
}

TEST_F(HttpProtocol, WhatIsNoRequestIsRefused) {
  for (const std::string_view bytes :
       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", "GET\r\n\r\n", "GET /health HTTP/9.9\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost : e\r\n\r\n", "GET /health HTTP/1.1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "POST /v1/score HTTP/1.1\r\nHost: e\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/score HTTP/1.1\r\nHost: e\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        "POST /v1/score HTTP/1.1\r\nHost: e\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/score HTTP/1.0\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: e\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"}) {
    RawClient client(fixture_.port());
    EXPECT_EQ(client.Ask(bytes).status, 400) << bytes;
    EXPECT_TRUE(client.Closed()) << bytes;
  }
  RawClient client(fixture_.port());
  EXPECT_EQ(client.Ask("POST /v1/score HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: gzip, chunked\r\n\r\n").status, 501);
  EXPECT_EQ(fixture_.Ask(Get("/healthz")).status, 200);
}

TEST_F(HttpProtocol, AbsoluteTargets) {
  EXPECT_EQ(fixture_.Ask(Get("http://engine:8000/healthz")).body, "ok\n");
  EXPECT_EQ(fixture_.Ask(Get("http://engine:8000/v1/detectors?name=n")).status, 200);
  EXPECT_EQ(fixture_.Ask(Get("http://engine:8000")).status, 404);
}

TEST(HttpLimits, LongBodiesAndHeaders) {
  HttpFixture fixture(Small());
  EXPECT_EQ(fixture.Ask(Post("/v1/score", std::string(1001, ' '))).status, 413);
  EXPECT_EQ(fixture.Ask(Post("/v1/score", std::string(1000, ' '))).status, 200);
  RawClient chunked(fixture.port());
  chunked.Send(
      "POST /v1/score HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(chunked.Ask("500\r\n" + std::string(0x500, ' ') + "\r\n0\r\n\r\n").status, 413);
  EXPECT_EQ(fixture.Ask(Get("/health", "X: " + std::string(20'000, 'a') + "\r\n")).status, 431);
  EXPECT_EQ(fixture.Ask(Get("/" + std::string(20'000, 'a'))).status, 431);
  const HttpAnswer huge =
      fixture.Ask("POST /v1/score HTTP/1.1\r\nHost: e\r\nContent-Length: 18446744073709551615\r\n\r\n");
  EXPECT_TRUE(huge.status == 413 || huge.status == 400);
}

TEST(HttpLimits, SlowClientsAreClosed) {
  HttpFixture fixture(Small());
  RawClient silent(fixture.port()), header(fixture.port()), body(fixture.port());
  header.Send("GET /health HTTP/1.1\r\nHo");
  body.Send("POST /v1/score HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
  EXPECT_TRUE(silent.Closed());
  EXPECT_TRUE(header.Closed());
  EXPECT_TRUE(body.Closed());
}

TEST(HttpLimits, IdleConnectionsAreClosed) {
  serve::Options options = HttpFixture::LoopbackOptions();
  options.idle_timeout_s = 1;
  HttpFixture fixture(options);
  RawClient client(fixture.port());
  EXPECT_EQ(client.Ask(Get("/healthz")).status, 200);
  EXPECT_TRUE(client.Closed());
}

TEST(HttpLimits, ConnectionsBeyondTheLimitAreClosed) {
  serve::Options options = HttpFixture::LoopbackOptions();
  options.max_connections = 2;
  HttpFixture fixture(options);
  auto first = std::make_unique<RawClient>(fixture.port());
  RawClient second(fixture.port());
  EXPECT_EQ(first->Ask(Get("/healthz")).status, 200);
  EXPECT_EQ(second.Ask(Get("/healthz")).status, 200);
  EXPECT_TRUE(RawClient(fixture.port()).Closed());
  first.reset();
  // Whether the engine has seen it go is not to be told from here: until it has, newcomers are closed.
  int status = 0;
  for (int i = 0; i < 200 && status != 200; ++i) {
    try {
      status = RawClient(fixture.port()).Ask(Get("/healthz")).status;
    } catch (const std::runtime_error&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  EXPECT_EQ(status, 200);
}

TEST(HttpPages, HealthFollowsTheServer) {
  HttpFixture fixture;
  const auto health = fixture.Ask(Get("/health"));
  EXPECT_EQ(health.json()["detectors"], nlohmann::json({"driftseal@3"}));
  EXPECT_EQ(health.json()["version"], "1.2.3");
  EXPECT_GE(health.json()["uptime_seconds"], 0);
  EXPECT_EQ(fixture.Ask(Get("/readyz")).status, 200);
  fixture.serving = false;
  EXPECT_EQ(fixture.Ask(Get("/health")).status, 503);
  EXPECT_EQ(fixture.Ask(Get("/health")).json()["status"], "draining");
  EXPECT_EQ(fixture.Ask(Get("/readyz")).status, 503);
  EXPECT_EQ(fixture.Ask(Get("/healthz")).status, 200);
  EXPECT_EQ(fixture.Ask(Get("/metrics")).headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
}

TEST(HttpDrain, AnswersWhatWasAskedAndClosesTheRest) {
  HttpFixture fixture;
  RawClient idle(fixture.port()), busy(fixture.port());
  EXPECT_EQ(idle.Ask(Get("/healthz")).status, 200);
  busy.Send(Post("/v1/score", R"({"detector":"block"})"));
  ASSERT_TRUE(fixture.engine.blocked.Wait());
  fixture.server->BeginDrain();
  EXPECT_TRUE(idle.Closed());
  EXPECT_THROW(RawClient(fixture.port()).Ask(Get("/healthz")), std::runtime_error);
  fixture.engine.Release();
  const HttpAnswer answer = busy.Read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  EXPECT_TRUE(busy.Closed());
  busy.Close();
  EXPECT_TRUE(fixture.server->Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)));
}

TEST(HttpDrain, CancelsWhatIsLeftAtItsEnd) {
  HttpFixture fixture;
  RawClient unary(fixture.port()), stream(fixture.port());
  unary.Send(Post("/v1/score", R"({"detector":"block"})"));
  ASSERT_TRUE(fixture.engine.blocked.Wait());
  stream.Send(Get("/v1/artifacts?folder=endless"));
  stream.ReadSome();
  EXPECT_FALSE(fixture.server->Drain(std::chrono::steady_clock::now() + std::chrono::milliseconds(50)));
  EXPECT_TRUE(fixture.engine.cancelled.Wait());
}

}  // namespace
}  // namespace driftseal::testing
