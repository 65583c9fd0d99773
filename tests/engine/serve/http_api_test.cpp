// What clients of the gateway see of calls: bodies, errors, streams, metadata.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/serve/http_fixture.h"

namespace driftseal::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

class HttpApi : public ::testing::Test {
 protected:
  HttpAnswer Score(std::string_view body, std::string_view headers = "") {
    return fixture_.Ask(Post("/v1/score", body, headers));
  }
  HttpFixture fixture_;
};

TEST_F(HttpApi, ScoresRows) {
  const HttpAnswer answer = Score(R"({"detector":"d","rows":{"cols":2,"values":[1,2,3.5,4]}})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  EXPECT_EQ(answer.json()["combined"], nlohmann::json({3, 7.5}));
  EXPECT_EQ(answer.json()["detector"], "d");
}

TEST_F(HttpApi, TheSeedsEndpointsWork) {
  auto answer = fixture_.Ask(Post("/score", R"({"meta_path":"a/b.meta.json"})"));
  EXPECT_EQ(answer.json()["path"], "a/b.meta.json");
  EXPECT_EQ(answer.json()["outcome"], "OUTCOME_REVIEW");
  EXPECT_EQ(answer.json()["signals"][0]["evidence"]["p_value"], 0.25);
  EXPECT_EQ(answer.json()["score"]["combined"], "NaN");
  answer = fixture_.Ask(
      Post("/sanitize_predictions", R"({"predictions_path":"p.csv","output_path":"o.csv","contamination":0.1})"));
  EXPECT_EQ(answer.json()["output_path"], "o.csv");
  EXPECT_EQ(answer.json()["rows"], "40");
  EXPECT_EQ(answer.json()["dropped"], "4");
  answer = fixture_.Ask(Post("/sanitize_predictions", R"({"predictions_path":"p.csv"})"));
  EXPECT_EQ(answer.json()["dropped"], "2");
  answer = fixture_.Ask(Post("/retrain_plan", R"({"meta_path":"m.meta.json"})"));
  EXPECT_EQ(answer.json()["verdict"]["path"], "m.meta.json");
  answer = fixture_.Ask(Get("/health"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["status"], "ok");
}

TEST_F(HttpApi, ErrorsAreJson) {
  const HttpAnswer answer = Score(R"({"detector":"nowhere"})", "X-Request-Id: abc-1\r\n");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.headers.at("x-request-id"), "abc-1");
  const auto error = answer.json()["error"];
  EXPECT_EQ(error["code"], 404);
  EXPECT_EQ(error["status"], "NOT_FOUND");
  EXPECT_EQ(error["message"], "no detector \"nowhere\"");
  EXPECT_EQ(error["request_id"], "abc-1");
  EXPECT_EQ(error["details"], nlohmann::json::array());
}

TEST_F(HttpApi, OverloadTellsHowMuchAndWhenToComeBack) {
  const HttpAnswer answer = Score(R"({"detector":"full"})");
  EXPECT_EQ(answer.status, 429);
  EXPECT_EQ(answer.headers.at("retry-after"), "2");  // 1.2 s, in whole seconds.
  const auto details = answer.json()["error"]["details"];
  ASSERT_EQ(details.size(), 2);
  EXPECT_EQ(details[0]["@type"], "type.googleapis.com/driftseal.v1.Overload");
  EXPECT_EQ(details[0]["resource"], "RESOURCE_QUEUE");
  EXPECT_EQ(details[0]["used"], "7");
  EXPECT_EQ(details[1]["@type"], "type.googleapis.com/google.rpc.RetryInfo");
  EXPECT_EQ(details[1]["retry_delay"], "1.200s");
}

TEST_F(HttpApi, UnknownFieldsAreRefusedByName) {
  EXPECT_THAT(Score(R"({"detectr":"d"})").json()["error"]["message"], HasSubstr("detectr"));
  const HttpAnswer answer = fixture_.Ask(Get("/v1/artifacts?foldr=x"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.json()["error"]["message"], HasSubstr("foldr"));
}

TEST_F(HttpApi, FieldsOfPathAndQueryArrive) {
  EXPECT_EQ(fixture_.Ask(Get("/v1/detectors/a%40b@2")).json()["name"], "a@b@2");
  EXPECT_EQ(fixture_.Ask(Get("/v1/detectors?name=x%20y")).json()["detectors"][0]["name"], "listed:x y");
}

TEST_F(HttpApi, UnimplementedMethodsSaySo) {
  const HttpAnswer answer = fixture_.Ask(Post("/v1/activate", "{}"));
  EXPECT_EQ(answer.status, 501);
  EXPECT_EQ(answer.json()["error"]["status"], "UNIMPLEMENTED");
}

TEST_F(HttpApi, PassesOnWhoCallsAndNothingElse) {
  Score("{}",
        "Authorization: Bearer s3cret\r\nX-Request-Id: r-7\r\ntraceparent: 00-a-b-01\r\nCookie: c=1\r\n"
        "x-driftseal-peer: ipv4:9.9.9.9:1\r\nX-Driftseal-Certificate: admin\r\nGrpc-Timeout: 10S\r\n");
  const auto metadata = fixture_.engine.Metadata();
  EXPECT_THAT(metadata, Contains(Pair("authorization", "Bearer s3cret")));
  EXPECT_THAT(metadata, Contains(Pair("x-request-id", "r-7")));
  EXPECT_THAT(metadata, Contains(Pair("traceparent", "00-a-b-01")));
  ASSERT_EQ(metadata.count("x-driftseal-peer"), 1);
  EXPECT_THAT(metadata.find("x-driftseal-peer")->second, HasSubstr("ipv4:127.0.0.1:"));
  EXPECT_EQ(metadata.count("x-driftseal-certificate"), 0);
  EXPECT_EQ(metadata.count("cookie"), 0);
}

TEST_F(HttpApi, MakesARequestIdWhereThereIsNoSaneOne) {
  const HttpAnswer first = Score("{}"), second = Score("{}", "X-Request-Id: two words\r\n");
  EXPECT_EQ(first.headers.at("x-request-id").size(), 16);
  EXPECT_EQ(second.headers.at("x-request-id").size(), 16);
  EXPECT_NE(first.headers.at("x-request-id"), second.headers.at("x-request-id"));
  EXPECT_EQ(Score("{}", "X-Request-Id: " + std::string(129, 'a') + "\r\n").headers.at("x-request-id").size(), 16);
}

TEST_F(HttpApi, MetadataThatGrpcCannotCarryIsRefused) {
  EXPECT_EQ(Score("{}", "Authorization: Bearer \xff\xfe\r\n").status, 401);
  EXPECT_EQ(Score("{}", "traceparent: \xc3\xa4\r\n").status, 200);
}

TEST_F(HttpApi, StrangersBodiesAreNotRead) {
  const HttpAnswer answer = Score("no JSON", "Authorization: Bearer wrong\r\n");
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.headers.at("www-authenticate"), "Bearer realm=\"driftseal\"");
  EXPECT_EQ(fixture_.Ask(Get("/health", "Authorization: Bearer wrong\r\n")).status, 200);
}

TEST_F(HttpApi, DeadlinesAreKept) {
  const HttpAnswer answer = Score(R"({"detector":"block"})", "Grpc-Timeout: 50m\r\n");
  EXPECT_EQ(answer.status, 504);
  EXPECT_EQ(answer.json()["error"]["status"], "DEADLINE_EXCEEDED");
  EXPECT_EQ(Score("{}", "Grpc-Timeout: soon\r\n").status, 400);
  EXPECT_EQ(Score("{}", "Grpc-Timeout: 99999999H\r\n").status, 200);
}

TEST_F(HttpApi, StreamsAreLinesOfJson) {
  RawClient client(fixture_.port());
  client.Send(Get("/v1/artifacts?folder=3"));
  const HttpAnswer answer = client.Read();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "application/x-ndjson");
  EXPECT_EQ(std::count(answer.body.begin(), answer.body.end(), '\n'), 3);
  EXPECT_EQ(nlohmann::json::parse(answer.body.substr(0, answer.body.find('\n')))["bare"], false);
  EXPECT_EQ(client.Ask(Get("/v1/artifacts?folder=0")).body, "");
  EXPECT_EQ(client.Ask(Get("/health")).status, 200);
}

TEST_F(HttpApi, StreamsThatFailSaySoWhereTheyAre) {
  const HttpAnswer at_once = fixture_.Ask(Get("/v1/artifacts?folder=0,fail"));
  EXPECT_EQ(at_once.status, 500);
  EXPECT_EQ(at_once.json()["error"]["message"], "the disk is on fire");
  const HttpAnswer later = fixture_.Ask(Get("/v1/artifacts?folder=2,fail", "X-Request-Id: s-1\r\n"));
  EXPECT_EQ(later.status, 200);
  const std::string last = later.body.substr(later.body.rfind('\n', later.body.size() - 2) + 1);
  EXPECT_EQ(nlohmann::json::parse(last)["error"]["request_id"], "s-1");
  EXPECT_EQ(nlohmann::json::parse(last)["error"]["code"], 500);
}

TEST_F(HttpApi, ALineIsSentAsSoonAsItIsThere) {
  RawClient client(fixture_.port());
  client.Send(Get("/v1/artifacts?folder=quiet"));
  std::string text;
  while (text.find("meta.json") == std::string::npos) text += client.ReadSome();
  EXPECT_THAT(text, HasSubstr("Transfer-Encoding: chunked"));
  client.Close();
  EXPECT_TRUE(fixture_.engine.cancelled.Wait());
}

TEST_F(HttpApi, AClientThatGoesAwayStopsItsCall) {
  RawClient client(fixture_.port());
  client.Send(Post("/v1/score", R"({"detector":"block"})"));
  ASSERT_TRUE(fixture_.engine.blocked.Wait());
  client.Close();
  EXPECT_TRUE(fixture_.engine.cancelled.Wait());
}

TEST_F(HttpApi, AClientThatGoesAwayWithRequestsInFlightStopsItsCall) {
  RawClient client(fixture_.port());
  client.Send(Post("/v1/score", R"({"detector":"block"})") + std::string(30'000, 'x'));
  ASSERT_TRUE(fixture_.engine.blocked.Wait());
  client.Close();
  EXPECT_TRUE(fixture_.engine.cancelled.Wait());
}

TEST_F(HttpApi, AStreamIsReadNoFasterThanItsClientReads) {
  RawClient client(fixture_.port(), 4096);
  client.Send(Get("/v1/artifacts?folder=endless"));
  // The kernel's buffers fill up, then nothing moves any more.
  int before = -1, now = 0, same = 0;
  for (int i = 0; i < 400 && same < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    before = std::exchange(now, fixture_.engine.artifacts_sent.load());
    same = before == now && now > 0 ? same + 1 : 0;
  }
  EXPECT_EQ(same, 20) << now;
  client.Close();
  EXPECT_TRUE(fixture_.engine.cancelled.Wait());
}

TEST_F(HttpApi, LargeBodiesArriveWhole) {
  std::string body = R"({"rows":{"cols":1,"values":[1)";
  for (int i = 1; i < 200'000; ++i) body += ",1";
  const HttpAnswer answer = Score(body + "]}}");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["combined"].size(), 200'000);
  EXPECT_EQ(Score(body).status, 400);
}

}  // namespace
}  // namespace driftseal::testing
