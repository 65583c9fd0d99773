#include "engine/serve/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <set>
#include <thread>

#include "engine/serve/poller_hold.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "tests/engine/serve/server_fixture.h"

namespace driftseal::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using Health = grpc::health::v1::HealthCheckResponse;

auto Soon(int seconds = 20) { return std::chrono::steady_clock::now() + std::chrono::seconds(seconds); }

Health::ServingStatus HealthOf(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  Health response;
  const auto status = grpc::health::v1::Health::NewStub(channel)->Check(&context, request, &response);
  return status.ok() ? response.status() : Health::SERVICE_UNKNOWN;
}

TEST(ServerTest, HealthTellsBeforeCallsAreRefused) {
  TestServer server;
  const auto channel = server.Connect();
  for (const char* service :
       {"", "driftseal.v1.Scoring", "driftseal.v1.Detectors", "driftseal.v1.Integrity", "driftseal.v1.Predictions"}) {
    EXPECT_EQ(HealthOf(channel, service), Health::SERVING) << service;
  }
  EXPECT_EQ(HealthOf(channel, "driftseal.v1.Nothing"), Health::SERVICE_UNKNOWN);
  EXPECT_TRUE(server.server().serving());
  grpc::ClientContext watching;
  const auto watch = grpc::health::v1::Health::NewStub(channel)->Watch(&watching, {});
  Health seen;
  ASSERT_TRUE(watch->Read(&seen));
  EXPECT_EQ(seen.status(), Health::SERVING);
  server.server().BeginLameDuck();
  ASSERT_TRUE(watch->Read(&seen));
  EXPECT_EQ(seen.status(), Health::NOT_SERVING);
  EXPECT_EQ(HealthOf(channel, "driftseal.v1.Scoring"), Health::NOT_SERVING);
  EXPECT_FALSE(server.server().serving());
  EXPECT_TRUE(ScoreOn(channel, RequestOf(SomeRows(1))).status.ok());
  server.server().BeginDrain();
  const Reply refused = ScoreOn(channel, RequestOf(SomeRows(1)));
  EXPECT_EQ(refused.status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_THAT(refused.status.error_message(), HasSubstr("shutting down"));
  // Nobody new gets in.
  EXPECT_EQ(ScoreOn(server.Connect(), RequestOf(SomeRows(1))).status.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_TRUE(server.server().Drain(Soon()));
}

template <typename Service, typename Request, typename Response>
std::vector<Response> Reflect(const std::shared_ptr<grpc::Channel>& channel, const std::vector<Request>& requests) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const auto stub = Service::NewStub(channel);
  const auto stream = stub->ServerReflectionInfo(&context);
  std::vector<Response> responses;
  for (const Request& request : requests) {
    EXPECT_TRUE(stream->Write(request));
    EXPECT_TRUE(stream->Read(&responses.emplace_back()));
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  return responses;
}

TEST(ServerTest, ReflectionDescribesTheContract) {
  namespace v1r = grpc::reflection::v1;
  TestServer server;
  std::vector<v1r::ServerReflectionRequest> requests(6);
  requests[0].set_list_services("");
  requests[1].set_file_containing_symbol("driftseal.v1.Scoring");
  requests[2].set_file_by_filename("driftseal/v1/options.proto");
  requests[3].set_file_containing_symbol("driftseal.v1.Nothing");
  requests[4].mutable_file_containing_extension()->set_containing_type("google.protobuf.MethodOptions");
  requests[4].mutable_file_containing_extension()->set_extension_number(50501);
  requests[5].set_all_extension_numbers_of_type("google.protobuf.MethodOptions");
  const auto answers = Reflect<v1r::ServerReflection, v1r::ServerReflectionRequest, v1r::ServerReflectionResponse>(
      server.Connect(), requests);
  std::set<std::string> services;
  for (const auto& service : answers[0].list_services_response().service()) services.insert(service.name());
  EXPECT_TRUE(services.contains("driftseal.v1.Scoring") && services.contains("driftseal.v1.Detectors") &&
              services.contains("driftseal.v1.Integrity") && services.contains("driftseal.v1.Predictions") &&
              services.contains("grpc.health.v1.Health"));
  // As grpcurl does: all files together must build, and hold the service.
  google::protobuf::DescriptorPool pool;
  const auto& files = answers[1].file_descriptor_response().file_descriptor_proto();
  for (int i = files.size() - 1; i >= 0; --i) {
    google::protobuf::FileDescriptorProto file;
    ASSERT_TRUE(file.ParseFromString(files[i]));
    ASSERT_NE(pool.BuildFile(file), nullptr) << file.name();
  }
  const auto* scoring = pool.FindServiceByName("driftseal.v1.Scoring");
  ASSERT_NE(scoring, nullptr);
  EXPECT_EQ(scoring->method_count(), 5);
  EXPECT_GE(answers[2].file_descriptor_response().file_descriptor_proto_size(), 2);
  EXPECT_EQ(answers[3].error_response().error_code(), StatusCode::NOT_FOUND);
  EXPECT_TRUE(answers[4].has_file_descriptor_response());
  EXPECT_EQ(answers[5].all_extension_numbers_response().extension_number(0), 50501);

  namespace older = grpc::reflection::v1alpha;
  older::ServerReflectionRequest list;
  list.set_list_services("");
  const auto older_answers =
      Reflect<older::ServerReflection, older::ServerReflectionRequest, older::ServerReflectionResponse>(
          server.Connect(), {list});
  EXPECT_EQ(older_answers[0].list_services_response().service_size(), static_cast<int>(services.size()));
}

// Calls keep coming while the engine drains: what it accepted is answered, and the answers arrive.
TEST(ServerTest, ADrainAnswersWhatItAccepted) {
  TestServer server;
  std::atomic<int> answered{0}, refused{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&] {
      const auto channel = server.Connect();
      const v1::ScoreRequest request = RequestOf(SomeRows(50));
      while (!stop) {
        const Reply reply = ScoreOn(channel, request);
        if (reply.status.ok()) {
          ++answered;
          continue;
        }
        ++refused;
        // CANCELLED: it came when the connection was being closed, and was not accepted.
        const StatusCode code = reply.status.error_code();
        EXPECT_TRUE(code == StatusCode::UNAVAILABLE || code == StatusCode::CANCELLED) << code;
      }
    });
  }
  ASSERT_TRUE(Eventually([&] { return answered > 200; }));
  EXPECT_TRUE(server.server().Drain(Soon()));
  ASSERT_TRUE(Eventually([&] { return refused > 10; }));
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(server.Metric(R"(driftseal_requests_total{method="/driftseal.v1.Scoring/Score",code="OK"})"), answered);
  EXPECT_EQ(server.Metric("driftseal_requests_in_flight"), 0);
}

int ConnectRaw(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(static_cast<uint16_t>(port));
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&where), sizeof(where)), 0);
  const timeval limit{20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return fd;
}

// Whether the other side closes, as opposed to nothing coming for 20 s.
bool IsClosed(int fd) {
  char buffer[256];
  for (;;) {
    const ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return true;
    if (got < 0) return false;
  }
}

TEST(ServerTest, ConnectionsBeyondTheLimitAreClosedAndTheOthersStay) {
  serve::Options options = TestServer::DefaultOptions();
  options.max_connections = 5;
  options.handshake_timeout_ms = 60000;
  TestServer server(options);
  const auto channel = server.Connect();
  ASSERT_TRUE(ScoreOn(channel, RequestOf(SomeRows(1))).status.ok());
  std::vector<int> idle;
  for (int i = 0; i < 4; ++i) idle.push_back(ConnectRaw(server.server().port()));
  EXPECT_TRUE(Eventually([&] { return server.server().connections().open() == 5; }));
  const int refused = ConnectRaw(server.server().port());
  EXPECT_TRUE(IsClosed(refused));
  close(refused);
  EXPECT_GE(server.Metric("driftseal_connections_refused_total"), 1);
  EXPECT_TRUE(ScoreOn(channel, RequestOf(SomeRows(1))).status.ok());
  for (const int fd : idle) close(fd);
  EXPECT_TRUE(Eventually([&] { return server.server().connections().open() == 1; }));
  EXPECT_TRUE(ScoreOn(server.Connect(), RequestOf(SomeRows(1))).status.ok());
}

TEST(ServerTest, WhoeverSaysNothingIsClosed) {
  serve::Options options = TestServer::DefaultOptions();
  options.handshake_timeout_ms = 300;
  TestServer server(options);
  const int silent = ConnectRaw(server.server().port());
  const int babbling = ConnectRaw(server.server().port());
  ASSERT_GT(send(babbling, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 0);
  EXPECT_TRUE(IsClosed(silent));
  EXPECT_TRUE(IsClosed(babbling));
  close(silent);
  close(babbling);
  EXPECT_TRUE(Eventually([&] { return server.server().connections().open() == 0; }));
}

TEST(ServerTest, WithAPollerHeldCallsAreAnsweredAndTheEngineEnds) {
  // The next server finds both threads again. Many: what ends behind the callback of the held one must end in no race.
  constexpr int kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    TestServer server;
    std::unique_ptr<serve::PollerHold> hold = serve::PollerHold::Take(server.server().InProcessChannel());
    constexpr unsigned kFewCores = 4;
    if (std::thread::hardware_concurrency() <= kFewCores) {
      EXPECT_NE(hold, nullptr);
    }
    for (size_t rows : {1, 500}) EXPECT_TRUE(server.Score(RequestOf(SomeRows(rows))).status.ok());
    const auto inside = server.server().InProcessChannel();
    EXPECT_TRUE(ScoreOn(inside, RequestOf(SomeRows(3))).status.ok());
    const bool early = round % 2 == 0;
    if (early) hold.reset();
    EXPECT_TRUE(server.Score(RequestOf(SomeRows(2))).status.ok());
    if (early) {
      EXPECT_TRUE(server.server().Drain(Soon()));
    }
  }
}

TEST(ServerTest, ListensOnIpv6) {
  serve::Options options = TestServer::DefaultOptions();
  options.grpc_listen = "[::1]:0";
  TestServer server(options);
  const auto channel =
      grpc::CreateChannel("[::1]:" + std::to_string(server.server().port()), grpc::InsecureChannelCredentials());
  EXPECT_TRUE(ScoreOn(channel, RequestOf(SomeRows(1))).status.ok());
}

TEST(ServerTest, AddressesThatCannotBeHadAreNamed) {
  TestServer first;
  for (const auto& [listen, says] : {std::pair<std::string, std::string>{first.address(), "cannot be bound"},
                                     {"127.0.0.1", "host:port"},
                                     {"127.0.0.1:70000", "host:port"}}) {
    serve::Options options = TestServer::DefaultOptions();
    options.grpc_listen = listen;
    options.allow_anonymous = true;
    try {
      TestServer second(options);
      ADD_FAILURE() << listen;
    } catch (const std::runtime_error& error) {
      EXPECT_THAT(error.what(), HasSubstr("grpc_listen: "));
      EXPECT_THAT(error.what(), HasSubstr(says));
    }
  }
}

TEST(ServerTest, WithoutAnAddressOnlyTheProcessReachesIt) {
  serve::Options options = TestServer::DefaultOptions();
  options.grpc_listen = "";
  TestServer server(options);
  EXPECT_EQ(server.server().port(), 0);
  EXPECT_TRUE(
      ScoreOn(server.server().InProcessChannel(), RequestOf(SomeRows(1)), {{"x-driftseal-peer", "ipv4:1.2.3.4:5"}})
          .status.ok());
}

}  // namespace
}  // namespace driftseal::testing
