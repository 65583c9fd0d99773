#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "engine/serve/verify_pool.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/engine/serve/verify_fixture.h"

namespace driftseal::testing {
namespace {

using google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

v1::VerifyStreamRequest RequestFor(const std::string& id, const std::string& path, const std::string& run = "") {
  v1::VerifyStreamRequest request;
  request.set_id(id);
  request.set_run(run);
  request.mutable_request()->set_path(path);
  request.mutable_request()->set_want_report_entry(true);
  return request;
}

// Sends all, reads all.
std::vector<v1::VerifyStreamResponse> Exchange(const VerifyServer& server,
                                               const std::vector<v1::VerifyStreamRequest>& requests) {
  v1::Scoring::Stub stub = server.Scoring();
  grpc::ClientContext context;
  const auto stream = stub.VerifyStream(&context);
  std::thread writer([&] {
    for (const v1::VerifyStreamRequest& request : requests) {
      if (!stream->Write(request)) break;
    }
    stream->WritesDone();
  });
  std::vector<v1::VerifyStreamResponse> responses;
  for (v1::VerifyStreamResponse response; stream->Read(&response);) responses.push_back(response);
  writer.join();
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return responses;
}

TEST(VerifyStream, AnswersEachOfManyOnceWithTheVerdictsOfScreening) {
  VerifyServer server;
  server.WriteModels(40);
  const std::vector<std::string> paths = server.Paths();
  std::map<std::string, std::string> expected;
  for (const std::string& path : paths) expected[path] = server.ExpectedEntry(path);
  std::vector<v1::VerifyStreamRequest> requests;
  for (int i = 0; i < 2000; ++i) {
    requests.push_back(RequestFor(std::to_string(i), paths[static_cast<size_t>(i) % paths.size()], "big"));
  }
  const auto responses = Exchange(server, requests);
  ASSERT_EQ(responses.size(), requests.size());
  std::set<std::string> ids;
  for (const v1::VerifyStreamResponse& response : responses) {
    EXPECT_TRUE(ids.insert(response.id()).second) << response.id() << " was answered twice";
    ASSERT_TRUE(response.has_verdict()) << response.error().message();
    EXPECT_FALSE(response.stored_before());
    EXPECT_EQ(response.verdict().report_entry(), expected.at(response.verdict().path()));
    EXPECT_EQ(response.verdict().path(), paths[std::stoul(response.id()) % paths.size()]);
  }

  // After a restart everything is there, and nothing is done again: the models may even be gone.
  server.Restart();
  std::filesystem::remove_all(server.root() / "models");
  const auto again = Exchange(server, requests);
  ASSERT_EQ(again.size(), requests.size());
  std::map<std::string, v1::Verdict> first;
  for (const auto& response : responses) first[response.id()] = response.verdict();
  for (const auto& response : again) {
    EXPECT_TRUE(response.stored_before());
    EXPECT_TRUE(MessageDifferencer::Equals(response.verdict(), first[response.id()])) << response.id();
  }
}

TEST(VerifyStream, GoesOnWhereABrokenStreamEnded) {
  VerifyServer server;
  server.WriteModels(20);
  const std::vector<std::string> paths = server.Paths();
  std::set<std::string> answered;
  {
    v1::Scoring::Stub stub = server.Scoring();
    grpc::ClientContext context;
    const auto stream = stub.VerifyStream(&context);
    for (const std::string& path : paths) ASSERT_TRUE(stream->Write(RequestFor(path, path, "run")));
    v1::VerifyStreamResponse response;
    for (int i = 0; i < 5 && stream->Read(&response); ++i) answered.insert(response.id());
    context.TryCancel();
    while (stream->Read(&response)) answered.insert(response.id());
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  ASSERT_GE(answered.size(), 5u);
  server.Restart();
  std::vector<v1::VerifyStreamRequest> requests;
  for (const std::string& path : paths) requests.push_back(RequestFor(path, path, "run"));
  const auto responses = Exchange(server, requests);
  ASSERT_EQ(responses.size(), paths.size());
  for (const auto& response : responses) {
    if (answered.contains(response.id())) {
      EXPECT_TRUE(response.stored_before()) << response.id();
    }
    EXPECT_EQ(response.verdict().report_entry(), server.ExpectedEntry(response.id()));
  }
}

TEST(VerifyStream, AMalformedRequestIsAnsweredByItsErrorAndTheStreamGoesOn) {
  VerifyServer server;
  server.WriteModels(2);
  const std::string good = "models/m01.meta.json";
  std::vector<v1::VerifyStreamRequest> requests = {RequestFor("first", good, "run"),
                                                   RequestFor("other run", good, "another"),
                                                   RequestFor(std::string(257, 'i'), good),
                                                   RequestFor("", good),
                                                   RequestFor("long run", good, std::string(129, 'r')),
                                                   RequestFor("no path", ""),
                                                   RequestFor("detector", good),
                                                   RequestFor("last", "models/broken.meta.json")};
  requests[6].mutable_request()->set_detector("none@7");
  for (const HostilePath& hostile : HostilePaths(server)) requests.push_back(RequestFor(hostile.path, hostile.path));
  std::map<std::string, v1::VerifyStreamResponse> responses;
  for (const auto& response : Exchange(server, requests)) responses[response.id()] = response;
  EXPECT_EQ(responses.size(), requests.size());
  EXPECT_TRUE(responses["first"].has_verdict());
  EXPECT_EQ(responses["last"].verdict().outcome(), v1::Verdict::OUTCOME_ERROR) << "of an artifact: a verdict";
  EXPECT_THAT(responses["other run"].error().message(), HasSubstr("run"));
  EXPECT_THAT(responses[std::string(257, 'i')].error().message(), HasSubstr("256"));
  EXPECT_THAT(responses[""].error().message(), HasSubstr("id"));
  EXPECT_THAT(responses["long run"].error().message(), HasSubstr("128"));
  EXPECT_EQ(responses["no path"].error().code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(responses["detector"].error().code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(responses["../x"].error().code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(responses["out/monitor.json"].verdict().outcome(), v1::Verdict::OUTCOME_ERROR);
}

TEST(VerifyStream, AnIdThatStandsForSomethingElseIsNoticed) {
  VerifyServer server;
  server.WriteModels(4);
  ASSERT_EQ(Exchange(server, {RequestFor("id", "models/m01.meta.json", "run")}).size(), 1u);
  const auto other = Exchange(server, {RequestFor("id", "models/m02.meta.json", "run")});
  ASSERT_EQ(other.size(), 1u);
  EXPECT_EQ(other[0].error().code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(Exchange(server, {RequestFor("id", "models/m02.meta.json", "other run")})[0].has_verdict());
}

// A caller that sends and does not read: the server stops reading, and holds no more than its window.
TEST(VerifyStream, ASlowReaderHoldsABoundedNumber) {
  VerifyServer server({.queue = 4});
  server.WriteModels(4);
  v1::Scoring::Stub stub = server.Scoring();
  grpc::ClientContext context;
  const auto stream = stub.VerifyStream(&context);
  constexpr int kRequests = 3000;
  std::thread writer([&] {
    for (int i = 0; i < kRequests; ++i) {
      if (!stream->Write(RequestFor(std::to_string(i), "models/m01.meta.json"))) return;
    }
    stream->WritesDone();
  });
  size_t most = 0, read = 0;
  for (v1::VerifyStreamResponse response; stream->Read(&response); ++read) {
    most = std::max(most, server.engine().verify_pool->load().waiting);
    ASSERT_TRUE(response.has_verdict()) << "a full pool slows down and refuses nothing: " << response.error().message();
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(read, size_t{kRequests});
  EXPECT_LE(most, 4u);
}

TEST(VerifyStream, ADrainAnswersWhatWasAccepted) {
  VerifyServer server;
  server.WriteModels(4);
  v1::Scoring::Stub stub = server.Scoring();
  grpc::ClientContext context;
  const auto stream = stub.VerifyStream(&context);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(stream->Write(RequestFor(std::to_string(i), "models/m01.meta.json", "run")));
  v1::VerifyStreamResponse response;
  ASSERT_TRUE(stream->Read(&response));
  server.Stop();
  std::set<std::string> answered = {response.id()};
  while (stream->Read(&response)) {
    EXPECT_TRUE(response.has_verdict());
    EXPECT_TRUE(answered.insert(response.id()).second);
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE) << "the end says: ask again elsewhere";
}

TEST(VerifyStream, TheCallersRateSlowsItDown) {
  VerifyServer server({.requests_per_second = 200});
  server.WriteModels(2);
  std::vector<v1::VerifyStreamRequest> requests;
  for (int i = 0; i < 60; ++i) requests.push_back(RequestFor(std::to_string(i), "models/m01.meta.json"));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(Exchange(server, requests).size(), requests.size());
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(200)) << "50 beyond the burst of 10";
}

}  // namespace
}  // namespace driftseal::testing
