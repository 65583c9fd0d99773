#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "tests/client/cpp/fake_engine.h"

// Streams: bounded, and whole whatever happens to their connections.
namespace driftseal::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::SizeIs;

using VerifyIo = grpc::ServerReaderWriter<v1::VerifyStreamResponse, v1::VerifyStreamRequest>;

v1::VerifyStreamResponse VerdictOn(const v1::VerifyStreamRequest& request) {
  v1::VerifyStreamResponse response;
  response.set_id(request.id());
  response.mutable_verdict()->set_path(request.request().path());
  response.mutable_verdict()->set_outcome(v1::Verdict::OUTCOME_PASS);
  return response;
}

class StreamTest : public ::testing::Test {
 protected:
  StreamTest() {
    engine_.verify_stream = [](grpc::ServerContext&, VerifyIo& io) {
      v1::VerifyStreamRequest request;
      while (io.Read(&request)) io.Write(VerdictOn(request));
      return grpc::Status::OK;
    };
  }
  // Sends so many and reads all answers, on one thread; how often each id was answered.
  static std::map<std::string, int> Exchange(VerifyStream& stream, int count) {
    std::map<std::string, int> answers;
    int sent = 0;
    for (;;) {
      while (sent < count) {
        VerifyRequest request;
        request.path = "models/" + std::to_string(sent);
        const std::optional<Status> status = stream.TrySend("id-" + std::to_string(sent), request);
        if (!status) break;
        EXPECT_TRUE(status->ok()) << status->ToString();
        if (!status->ok()) return answers;
        if (++sent == count) stream.Finish();
      }
      const std::optional<VerifyAnswer> answer = stream.Next();
      if (!answer) return answers;
      EXPECT_TRUE(answer->status.ok()) << answer->status.ToString();
      EXPECT_EQ("id-" + answer->verdict.path.substr(7), answer->id);
      ++answers[answer->id];
    }
  }
  static void ExpectEachOnce(const std::map<std::string, int>& answers, size_t count) {
    EXPECT_THAT(answers, SizeIs(count));
    for (const auto& [id, times] : answers) EXPECT_EQ(times, 1) << id;
  }

  FakeEngine engine_;
};

TEST_F(StreamTest, NoMoreIsUnderWayThanAllowed) {
  std::atomic<int> got{0};
  Event full, go;
  engine_.verify_stream = [&](grpc::ServerContext&, VerifyIo& io) {
    v1::VerifyStreamRequest request;
    std::vector<v1::VerifyStreamRequest> held;
    while (held.size() < 5 && io.Read(&request)) held.push_back(request), ++got;
    full.Set();
    go.Wait();
    for (const auto& one : held) io.Write(VerdictOn(one));
    while (io.Read(&request)) ++got, io.Write(VerdictOn(request));
    return grpc::Status::OK;
  };
  VerifyStreamOptions options;
  options.max_in_flight = 5;
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream(options);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(stream.Send("a" + std::to_string(i), {}).ok());
  ASSERT_TRUE(full.Wait());
  EXPECT_FALSE(stream.TrySend("b", {}).has_value());
  std::atomic<bool> sent{false};
  std::thread sender([&] {
    EXPECT_TRUE(stream.Send("b", {}).ok());
    sent = true;
    stream.Finish();
  });
  EXPECT_EQ(got, 5);
  EXPECT_FALSE(sent);
  go.Set();
  std::set<std::string> ids;
  while (std::optional<VerifyAnswer> answer = stream.Next()) ids.insert(answer->id);
  sender.join();
  EXPECT_THAT(ids, ElementsAre("a0", "a1", "a2", "a3", "a4", "b"));
  EXPECT_TRUE(stream.status().ok());
}

TEST_F(StreamTest, AnswersThatNobodyTakesHoldUpTheSender) {
  VerifyStreamOptions options;
  options.max_in_flight = 3;
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream(options);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stream.Send("a" + std::to_string(i), {}).ok());
  ASSERT_TRUE(stream.Next().has_value());
  EXPECT_TRUE(stream.TrySend("b", {}).has_value());
  EXPECT_FALSE(stream.TrySend("c", {}).has_value()) << "answers that wait count too";
}

TEST_F(StreamTest, BrokenConnectionsLoseNothingAndRepeatNothing) {
  std::atomic<int> connections{0};
  std::mutex mutex;
  std::set<std::string> runs;
  engine_.verify_stream = [&](grpc::ServerContext&, VerifyIo& io) {
    const int connection = ++connections;
    v1::VerifyStreamRequest request;
    std::vector<v1::VerifyStreamRequest> batch;
    for (int answered = 0; io.Read(&request);) {
      {
        const std::lock_guard lock(mutex);
        runs.insert(request.run());
      }
      batch.push_back(request);
      if (batch.size() < 3 && connection <= 10) continue;
      // Out of order; of each three the first is swallowed when the connection breaks.
      for (size_t i = batch.size(); i > (connection <= 10 ? 1 : 0); --i) io.Write(VerdictOn(batch[i - 1])), ++answered;
      const v1::VerifyStreamRequest kept = batch.front();
      batch.clear();
      if (connection > 10) continue;
      if (answered >= 8) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "dropped by the test");
      io.Write(VerdictOn(kept));
    }
    for (const auto& one : batch) io.Write(VerdictOn(one));
    return grpc::Status::OK;
  };
  VerifyStreamOptions options;
  options.run = "run-7";
  options.max_in_flight = 16;
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream(options);
  ExpectEachOnce(Exchange(stream, 500), 500);
  EXPECT_TRUE(stream.status().ok()) << stream.status().ToString();
  EXPECT_GT(connections, 10);
  EXPECT_THAT(runs, ElementsAre("run-7"));
}

TEST_F(StreamTest, AnEngineThatIsStartedAgainIsFound) {
  std::atomic<int> served{0};
  Event half;
  engine_.verify_stream = [&](grpc::ServerContext&, VerifyIo& io) {
    v1::VerifyStreamRequest request;
    while (io.Read(&request)) {
      io.Write(VerdictOn(request));
      if (++served == 50) half.Set();
    }
    return grpc::Status::OK;
  };
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream();
  std::thread restarter([&] {
    half.Wait();
    engine_.Stop();
    engine_.Start();
  });
  ExpectEachOnce(Exchange(stream, 2000), 2000);
  restarter.join();
  EXPECT_TRUE(stream.status().ok()) << stream.status().ToString();
}

TEST_F(StreamTest, AnEndBeforeAllAnswersIsNoEnd) {
  std::atomic<int> connections{0};
  engine_.verify_stream = [&](grpc::ServerContext&, VerifyIo& io) {
    ++connections;
    v1::VerifyStreamRequest request;
    if (io.Read(&request)) io.Write(VerdictOn(request));
    return connections % 2 == 0 ? grpc::Status::OK : grpc::Status::CANCELLED;  // As an engine that drains.
  };
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream();
  ExpectEachOnce(Exchange(stream, 10), 10);
  EXPECT_EQ(connections, 10);
}

TEST_F(StreamTest, TwoAnswersToOneRequestAreOne) {
  engine_.verify_stream = [](grpc::ServerContext&, VerifyIo& io) {
    v1::VerifyStreamRequest request;
    while (io.Read(&request)) {
      io.Write(VerdictOn(request));
      io.Write(VerdictOn(request));
    }
    return grpc::Status::OK;
  };
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream();
  ExpectEachOnce(Exchange(stream, 100), 100);
}

TEST_F(StreamTest, ItemsThatAreRefusedForNowAreSentAgain) {
  std::map<std::string, int> seen;
  engine_.verify_stream = [&](grpc::ServerContext&, VerifyIo& io) {
    v1::VerifyStreamRequest request;
    while (io.Read(&request)) {
      v1::VerifyStreamResponse response = VerdictOn(request);
      const int times = ++seen[request.id()];
      if (request.id() == "id-3" && times < 4) {
        response.mutable_error()->set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
        response.mutable_error()->set_retry_after_ms(5);
      }
      io.Write(response);
    }
    return grpc::Status::OK;
  };
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream();
  ExpectEachOnce(Exchange(stream, 10), 10);
  EXPECT_EQ(seen["id-3"], 4);
  EXPECT_EQ(seen["id-4"], 1);
}

TEST_F(StreamTest, ItemsThatFailAreAnswersAndTheStreamGoesOn) {
  engine_.score_stream = [](grpc::ServerContext&, auto& io) {
    v1::ScoreStreamRequest request;
    while (io.Read(&request)) {
      v1::ScoreStreamResponse response;
      response.set_id(request.id());
      if (request.request().rows().cols() == 2) {
        response.mutable_error()->set_code(grpc::StatusCode::INVALID_ARGUMENT);
        response.mutable_error()->set_message("rows: expected 1 column");
      } else {
        *response.mutable_response() = ScoresOf(request.request());
      }
      io.Write(response);
    }
    return grpc::Status::OK;
  };
  ScoreStream stream = ClientOf(QuickOptions(engine_)).OpenScoreStream();
  const std::vector<float> values = {1, 2};
  ScoreRequest good, bad;
  good.rows = {values, 1};
  bad.rows = {values, 2};
  const uint64_t first = stream.Send(good).value(), second = stream.Send(bad).value(),
                 third = stream.Send(good).value();
  stream.Finish();
  std::map<uint64_t, ScoreAnswer> answers;
  while (std::optional<ScoreAnswer> answer = stream.Next()) answers[answer->id] = *answer;
  ASSERT_THAT(answers, SizeIs(3));
  EXPECT_THAT(answers[first].result.combined, ElementsAre(1, 2));
  EXPECT_EQ(answers[second].status.code, Code::kInvalidArgument);
  EXPECT_EQ(answers[second].status.message, "rows: expected 1 column");
  EXPECT_TRUE(answers[third].status.ok());
}

TEST_F(StreamTest, ARefusalOfTheWholeStreamEndsIt) {
  std::atomic<int> connections{0};
  engine_.verify_stream = [&](grpc::ServerContext&, VerifyIo&) {
    ++connections;
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "no such token");
  };
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream();
  ASSERT_TRUE(stream.Send("a", {}).ok());
  EXPECT_FALSE(stream.Next().has_value());
  EXPECT_EQ(stream.status().code, Code::kUnauthenticated);
  EXPECT_EQ(stream.Send("b", {}).code, Code::kUnauthenticated);
  EXPECT_EQ(connections, 1);
}

TEST_F(StreamTest, AnEngineThatStaysAwayIsGivenUp) {
  engine_.Stop();
  VerifyStreamOptions options;
  options.give_up_after = 200ms;
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream(options);
  ASSERT_TRUE(stream.Send("a", {}).ok());
  EXPECT_FALSE(stream.Next().has_value());
  EXPECT_EQ(stream.status().code, Code::kUnavailable);
  EXPECT_GT(stream.status().attempts, 1);
}

TEST_F(StreamTest, AnEngineThatWorkedForLongBeforeItWentIsNotGivenUp) {
  std::atomic<int> connections{0};
  engine_.verify_stream = [&](grpc::ServerContext&, VerifyIo& io) {
    v1::VerifyStreamRequest request;
    io.Read(&request);
    if (++connections == 1) {
      std::this_thread::sleep_for(3s);
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
    }
    io.Write(VerdictOn(request));
    return grpc::Status::OK;
  };
  VerifyStreamOptions options;
  options.give_up_after = 2s;
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream(options);
  ASSERT_TRUE(stream.Send("a", {}).ok());
  EXPECT_TRUE(stream.Next().has_value()) << stream.status().ToString();
  EXPECT_EQ(connections, 2);
}

TEST_F(StreamTest, CancelWakesWhoWaits) {
  Event met;
  engine_.verify_stream = [&](grpc::ServerContext& context, VerifyIo& io) {
    v1::VerifyStreamRequest request;
    io.Read(&request);
    met.Set();
    while (!context.IsCancelled()) std::this_thread::sleep_for(1ms);
    return grpc::Status::CANCELLED;
  };
  VerifyStreamOptions options;
  options.max_in_flight = 1;
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream(options);
  ASSERT_TRUE(stream.Send("a", {}).ok());
  std::thread sender([&] { EXPECT_EQ(stream.Send("b", {}).code, Code::kCancelled); });
  std::thread reader([&] { EXPECT_FALSE(stream.Next().has_value()); });
  ASSERT_TRUE(met.Wait());
  stream.Cancel();
  sender.join();
  reader.join();
  EXPECT_EQ(stream.status().code, Code::kCancelled);
}

TEST_F(StreamTest, AnIdIsNotSentTwiceAtOnceAndAStreamWithoutRequestsEnds) {
  const Client client = ClientOf(QuickOptions(engine_));
  VerifyStream idle = client.OpenVerifyStream();
  idle.Finish();
  EXPECT_FALSE(idle.Next().has_value());
  EXPECT_TRUE(idle.status().ok());
  EXPECT_EQ(idle.Send("a", {}).code, Code::kFailedPrecondition);
  engine_.verify_stream = [](grpc::ServerContext& context, VerifyIo&) {
    while (!context.IsCancelled()) std::this_thread::sleep_for(1ms);
    return grpc::Status::CANCELLED;
  };
  VerifyStream stream = client.OpenVerifyStream();
  ASSERT_TRUE(stream.Send("a", {}).ok());
  EXPECT_EQ(stream.Send("a", {}).code, Code::kInvalidArgument);
  EXPECT_EQ(stream.Send(std::string(257, 'x'), {}).code, Code::kInvalidArgument);
  EXPECT_TRUE(stream.Send(std::string(256, 'x'), {}).ok());
}

TEST_F(StreamTest, ManyThreadsShareAStream) {
  VerifyStreamOptions options;
  options.max_in_flight = 7;
  VerifyStream stream = ClientOf(QuickOptions(engine_)).OpenVerifyStream(options);
  std::atomic<int> answered{0};
  std::vector<std::thread> senders, readers;
  for (int t = 0; t < 3; ++t) {
    senders.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        EXPECT_TRUE(stream.Send(std::to_string(t) + "-" + std::to_string(i), {}).ok());
      }
    });
    readers.emplace_back([&] {
      while (stream.Next()) ++answered;
    });
  }
  for (std::thread& thread : senders) thread.join();
  stream.Finish();
  for (std::thread& thread : readers) thread.join();
  EXPECT_EQ(answered, 600);
}

}  // namespace
}  // namespace driftseal::testing
