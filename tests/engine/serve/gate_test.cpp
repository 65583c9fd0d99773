#include "engine/serve/gate.h"

#include <sys/stat.h>

#include "driftseal/v1/options.pb.h"
#include "engine/serve/tokens.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/engine/serve/server_fixture.h"

namespace driftseal::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;

class GateTest : public ::testing::Test {
 protected:
  TempFolder folder_;
  std::string WriteTokens(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    const std::string path = folder_.Write("tokens", text);
    EXPECT_EQ(chmod(path.c_str(), 0600), 0);
    return path;
  }
  static std::string Line(const std::string& client, const std::string& scope, int years = 1) {
    const auto expires = std::chrono::system_clock::now() + std::chrono::hours(24 * 365 * years);
    return serve::TokenLine(client, {scope}, "secret-of-" + client, expires).value();
  }
  static Metadata Bearer(const std::string& client) { return {{"authorization", "Bearer secret-of-" + client}}; }
  serve::Options WithTokens(const std::vector<std::string>& lines) {
    serve::Options options = TestServer::DefaultOptions();
    options.tokens_file = WriteTokens(lines);
    return options;
  }
};

TEST_F(GateTest, TokensAreAskedFor) {
  TestServer server(WithTokens({Line("scorer", "score"), Line("old", "admin", -1)}));
  const v1::ScoreRequest request = RequestOf(SomeRows(1));
  const auto expect = [&](const Metadata& metadata, StatusCode code, const std::string& says) {
    const Reply reply = server.Score(request, metadata);
    EXPECT_EQ(reply.status.error_code(), code) << reply.status.error_message();
    EXPECT_THAT(reply.status.error_message(), HasSubstr(says));
    EXPECT_EQ(reply.trailers.count("x-request-id"), 1u);
  };
  expect(Bearer("scorer"), StatusCode::OK, "");
  expect({{"authorization", "bearer secret-of-scorer"}}, StatusCode::OK, "");
  expect({}, StatusCode::UNAUTHENTICATED, "authorization: Bearer TOKEN");
  expect({{"authorization", "Basic c2Vj"}}, StatusCode::UNAUTHENTICATED, "Bearer TOKEN");
  expect({{"authorization", "Bearer "}}, StatusCode::UNAUTHENTICATED, "Bearer TOKEN");
  expect({{"authorization", "Bearer " + std::string(5000, 'x')}}, StatusCode::UNAUTHENTICATED, "Bearer TOKEN");
  expect(Bearer("nobody"), StatusCode::UNAUTHENTICATED, "unknown token");
  expect(Bearer("old"), StatusCode::UNAUTHENTICATED, "expired");
  // Metadata of the HTTP gateway is not believed of a socket.
  expect({{"x-driftseal-peer", "ipv4:10.0.0.1:1"}, {"x-driftseal-certificate", "scorer"}}, StatusCode::UNAUTHENTICATED,
         "Bearer TOKEN");
  EXPECT_TRUE(Eventually([&] { return server.Metric(R"(driftseal_client_requests_total{client="scorer"})") == 2; }));
}

// Every method of the contract with every scope: the ones below its own are refused before anything is parsed or done,
// the others get past the gate.
TEST_F(GateTest, EveryMethodAsksForItsScope) {
  TestServer server(WithTokens({Line("s1", "score"), Line("s2", "verify"), Line("s3", "admin")}));
  grpc::GenericStub stub(server.Connect());
  int methods = 0;
  for (const auto* file : {v1::ScoreRequest::descriptor()->file(), v1::FitRequest::descriptor()->file(),
                           v1::BackfillRequest::descriptor()->file(), v1::SanitizeRequest::descriptor()->file()}) {
    const auto* service = file->service(0);
    for (int m = 0; m < service->method_count(); ++m, ++methods) {
      const auto* method = service->method(m);
      const int needed = method->options().GetExtension(v1::rule).scope();
      const std::string path = "/" + service->full_name() + "/" + method->name();
      EXPECT_GE(needed, v1::SCOPE_SCORE) << path;
      for (int scope = v1::SCOPE_UNSPECIFIED; scope <= v1::SCOPE_ADMIN; ++scope) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
        if (scope > 0) context.AddMetadata("authorization", "Bearer secret-of-s" + std::to_string(scope));
        grpc::CompletionQueue queue;
        const auto call = stub.PrepareCall(&context, path, &queue);
        grpc::ByteBuffer response;
        const grpc::Slice nothing("");
        grpc::Status status;
        const auto next = [&] {
          void* tag = nullptr;
          bool ok = false;
          queue.Next(&tag, &ok);
          return ok;
        };
        call->StartCall(nullptr);
        next();
        // A message that is none of any type: whoever gets past the gate is told so, or that a field is missing.
        call->WriteLast(grpc::ByteBuffer(&nothing, 1), {}, nullptr);
        next();
        bool more = true;
        while (more) {
          call->Read(&response, nullptr);
          more = next();
        }
        call->Finish(&status, nullptr);
        next();
        const StatusCode code = status.error_code();
        const std::string what = path + " with scope " + std::to_string(scope) + ": " + status.error_message();
        if (scope == 0) {
          EXPECT_EQ(code, StatusCode::UNAUTHENTICATED) << what;
        } else if (scope < needed) {
          EXPECT_EQ(code, StatusCode::PERMISSION_DENIED) << what;
          EXPECT_THAT(status.error_message(), HasSubstr("needs the scope"));
        } else {
          EXPECT_NE(code, StatusCode::PERMISSION_DENIED) << what;
          EXPECT_NE(code, StatusCode::UNAUTHENTICATED) << what;
          EXPECT_NE(code, StatusCode::DEADLINE_EXCEEDED) << what;
        }
        queue.Shutdown();
      }
    }
  }
  EXPECT_EQ(methods, 18);
}

TEST_F(GateTest, ReloadTakesOverNewTokensAndKeepsOldOnesOnAnError) {
  TestServer server(WithTokens({Line("one", "score")}));
  const v1::ScoreRequest request = RequestOf(SomeRows(1));
  ASSERT_TRUE(server.Score(request, Bearer("one")).status.ok());
  WriteTokens({Line("two", "score")});
  EXPECT_EQ(server.Score(request, Bearer("two")).status.error_code(), StatusCode::UNAUTHENTICATED);
  ASSERT_TRUE(server.engine().gate->Reload().ok());
  EXPECT_TRUE(server.Score(request, Bearer("two")).status.ok());
  EXPECT_EQ(server.Score(request, Bearer("one")).status.error_code(), StatusCode::UNAUTHENTICATED);
  WriteTokens({"nonsense"});
  const absl::Status reloaded = server.engine().gate->Reload();
  EXPECT_THAT(std::string(reloaded.message()), HasSubstr("tokens:1: "));
  EXPECT_TRUE(server.Score(request, Bearer("two")).status.ok());
}

TEST_F(GateTest, EachClientHasItsRate) {
  serve::Options options = WithTokens({Line("fast", "score"), Line("calm", "score")});
  options.client_requests_per_second = 0.01;
  options.client_burst = 3;
  TestServer server(options);
  const v1::ScoreRequest request = RequestOf(SomeRows(1));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(server.Score(request, Bearer("fast")).status.ok());
  const Reply refused = server.Score(request, Bearer("fast"));
  EXPECT_EQ(refused.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  v1::Overload overload;
  v1::RetryInfo retry;
  ASSERT_TRUE(OverloadOf(refused.status, &overload, &retry));
  EXPECT_EQ(overload.resource(), v1::Overload::RESOURCE_CLIENT_RATE);
  EXPECT_EQ(overload.limit(), 3u);
  EXPECT_GT(retry.retry_delay().seconds(), 50);
  EXPECT_LE(retry.retry_delay().seconds(), 100);
  EXPECT_EQ(DetailsOf(refused.status).code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(server.Score(request, Bearer("calm")).status.ok());
  EXPECT_EQ(server.Metric(R"(driftseal_client_rate_limited_total{client="fast"})"), 1);
}

TEST_F(GateTest, AClientsOpenCallsAreBoundedOverAllItsConnections) {
  serve::Options options = TestServer::DefaultOptions();
  options.max_client_calls = 3;
  TestServer server(options);
  const v1::ScoreRequest request = RequestOf(SomeRows(1));
  struct Open {
    std::unique_ptr<v1::Scoring::Stub> stub;
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<v1::ScoreStreamRequest, v1::ScoreStreamResponse>> stream;
  };
  std::vector<std::unique_ptr<Open>> open;
  for (size_t i = 0; i < options.max_client_calls; ++i) {
    Open& call = *open.emplace_back(std::make_unique<Open>());
    call.stub = v1::Scoring::NewStub(server.Connect());
    call.stream = call.stub->ScoreStream(&call.context);
    v1::ScoreStreamRequest message;
    *message.mutable_request() = request;
    v1::ScoreStreamResponse response;
    ASSERT_TRUE(call.stream->Write(message) && call.stream->Read(&response)) << "it is open";
  }
  const Reply refused = server.Score(request);
  EXPECT_EQ(refused.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  v1::Overload overload;
  v1::RetryInfo retry;
  ASSERT_TRUE(OverloadOf(refused.status, &overload, &retry));
  EXPECT_EQ(overload.resource(), v1::Overload::RESOURCE_CLIENT_CALLS);
  EXPECT_EQ(overload.used(), 3u);
  EXPECT_EQ(overload.limit(), 3u);
  open.front()->stream->WritesDone();
  EXPECT_TRUE(open.front()->stream->Finish().ok());
  EXPECT_TRUE(Eventually([&] { return server.Score(request).status.ok(); }));
  for (size_t i = 1; i < open.size(); ++i) open[i]->context.TryCancel();
}

TEST_F(GateTest, TheGatewayIsBelieved) {
  serve::Options options = TestServer::DefaultOptions();
  options.client_requests_per_second = 0.01;
  options.client_burst = 1;
  TestServer server(options);
  const auto channel = server.server().InProcessChannel();
  const v1::ScoreRequest request = RequestOf(SomeRows(1));
  const auto from = [&](const std::string& peer) {
    return ScoreOn(channel, request, {{"x-driftseal-peer", peer}}).status.error_code();
  };
  EXPECT_EQ(from("ipv4:10.0.0.1:1000"), StatusCode::OK);
  EXPECT_EQ(from("ipv4:10.0.0.1:1001"), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(from("ipv4:10.0.0.2:1000"), StatusCode::OK);
  EXPECT_EQ(from("ipv6:%5B::1%5D:1000"), StatusCode::OK);
  EXPECT_EQ(server.Metric(R"(driftseal_client_requests_total{client="anonymous"})"), 3);
}

TEST_F(GateTest, AnonymousCallersFromOutsideMustBeAllowed) {
  serve::Options options = TestServer::DefaultOptions();
  options.artifact_root = folder_.string();
  options.grpc_listen = "0.0.0.0:0";
  absl::Status checked = serve::Engine::Check(options);
  EXPECT_EQ(checked.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(checked.message()), HasSubstr("grpc_listen"));
  options.allow_anonymous = true;
  EXPECT_TRUE(serve::Engine::Check(options).ok()) << serve::Engine::Check(options);
  options.allow_anonymous = false;
  options.grpc_listen = "[::1]:0";
  options.http_listen = "example.org:80";
  EXPECT_THAT(std::string(serve::Engine::Check(options).message()), HasSubstr("http_listen"));
  options.tokens_file = WriteTokens({Line("a", "score")});
  EXPECT_TRUE(serve::Engine::Check(options).ok());
  options.tokens_file = folder_ / "nothing";
  EXPECT_THAT(std::string(serve::Engine::Check(options).message()), HasSubstr("tokens_file"));
  options.tokens_file = "";
  options.http_listen = "";
  options.artifact_root = folder_ / "nothing";
  EXPECT_THAT(std::string(serve::Engine::Check(options).message()), HasSubstr("artifact_root"));
}

TEST_F(GateTest, ALookAheadCountsNothing) {
  TestServer server(WithTokens({Line("s", "score")}));
  const serve::Gate& gate = *server.engine().gate;
  EXPECT_TRUE(gate.MayCall("Bearer secret-of-s", "", v1::SCOPE_SCORE).ok());
  EXPECT_TRUE(absl::IsPermissionDenied(gate.MayCall("Bearer secret-of-s", "", v1::SCOPE_ADMIN)));
  EXPECT_TRUE(absl::IsUnauthenticated(gate.MayCall("", "", v1::SCOPE_SCORE)));
  EXPECT_TRUE(absl::IsUnauthenticated(gate.MayCall("Bearer x", "s", v1::SCOPE_SCORE)));
  EXPECT_EQ(server.Metric(R"(driftseal_client_requests_total{client="s"})"), -1);
}

}  // namespace
}  // namespace driftseal::testing
