#include <atomic>
#include <future>
#include <map>
#include <thread>

#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "tests/engine/serve/server_fixture.h"

namespace driftseal::testing {
namespace {

using grpc::StatusCode;
using ::testing::HasSubstr;
using Stream = grpc::ClientReaderWriter<v1::ScoreStreamRequest, v1::ScoreStreamResponse>;

class ScoreStreamTest : public ::testing::Test {
 protected:
  explicit ScoreStreamTest(const serve::Options& options = TestServer::DefaultOptions()) : server_(options) {
    Connect();
  }
  void Connect() {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    stub_ = v1::Scoring::NewStub(server_.Connect());
    stream_ = stub_->ScoreStream(&context_);
  }
  bool Send(uint64_t id, const v1::ScoreRequest& request) {
    v1::ScoreStreamRequest message;
    message.set_id(id);
    *message.mutable_request() = request;
    return stream_->Write(message);
  }
  std::map<uint64_t, v1::ScoreStreamResponse> ReadAll() {
    std::map<uint64_t, v1::ScoreStreamResponse> answers;
    for (v1::ScoreStreamResponse response; stream_->Read(&response);) {
      EXPECT_TRUE(answers.emplace(response.id(), response).second) << "answered twice: " << response.id();
    }
    return answers;
  }
  bool Idle() const { return server_.Metric("driftseal_requests_in_flight") == 0; }

  TestServer server_;
  grpc::ClientContext context_;
  std::unique_ptr<v1::Scoring::Stub> stub_;
  std::unique_ptr<Stream> stream_;
};

TEST_F(ScoreStreamTest, EveryRequestIsAnsweredOnce) {
  constexpr uint64_t kMessages = 3000;
  std::thread sender([&] {
    for (uint64_t id = 1; id <= kMessages; ++id) ASSERT_TRUE(Send(id, RequestOf(SomeRows(1 + id % 7, id))));
    stream_->WritesDone();
  });
  const auto answers = ReadAll();
  sender.join();
  EXPECT_TRUE(stream_->Finish().ok());
  ASSERT_EQ(answers.size(), kMessages);
  for (const uint64_t id : {uint64_t{1}, uint64_t{1500}, kMessages}) {
    const v1::ScoreStreamResponse& answer = answers.at(id);
    ASSERT_TRUE(answer.has_response()) << answer.error().message();
    const Reply alone = server_.Score(RequestOf(SomeRows(1 + id % 7, id)));
    ASSERT_EQ(answer.response().combined_size(), alone.response.combined_size());
    for (int r = 0; r < alone.response.combined_size(); ++r) {
      // Batches of other sizes add in another order.
      EXPECT_NEAR(answer.response().combined(r), alone.response.combined(r), 1e-6);
    }
  }
}

TEST_F(ScoreStreamTest, AnErrorIsOfItsItemAlone) {
  v1::ScoreRequest wrong = RequestOf(SomeRows(1));
  wrong.mutable_rows()->set_cols(3);
  v1::ScoreRequest unknown = RequestOf(SomeRows(1));
  unknown.set_detector("nobody");
  v1::ScoreStreamRequest empty;
  empty.set_id(4);
  ASSERT_TRUE(Send(1, RequestOf(SomeRows(1))) && Send(2, wrong) && Send(3, unknown) && stream_->Write(empty) &&
              Send(5, RequestOf(SomeRows(2))));
  stream_->WritesDone();
  const auto answers = ReadAll();
  EXPECT_TRUE(stream_->Finish().ok());
  ASSERT_EQ(answers.size(), 5u);
  EXPECT_EQ(answers.at(1).response().combined_size(), 1);
  EXPECT_EQ(answers.at(2).error().code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answers.at(2).error().message(), HasSubstr("rows.cols"));
  EXPECT_EQ(answers.at(2).error().retry_after_ms(), 0u);
  EXPECT_EQ(answers.at(3).error().code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(answers.at(4).error().code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(answers.at(5).response().combined_size(), 2);
}

TEST_F(ScoreStreamTest, BytesThatAreNoMessageEndTheStream) {
  grpc::GenericStub stub(server_.Connect());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, "/driftseal.v1.Scoring/ScoreStream", &queue);
  const auto next = [&] {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  };
  v1::ScoreStreamRequest good;
  good.set_id(9);
  *good.mutable_request() = RequestOf(SomeRows(1));
  call->StartCall(nullptr);
  EXPECT_TRUE(next());
  for (const std::string& bytes : {good.SerializeAsString(), std::string("\xff\xff\xff")}) {
    const grpc::Slice slice(bytes);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    EXPECT_TRUE(next());
  }
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  EXPECT_TRUE(next());
  grpc::Slice slice;
  v1::ScoreStreamResponse response;
  ASSERT_TRUE(answer.DumpToSingleSlice(&slice).ok());
  ASSERT_TRUE(response.ParseFromArray(slice.begin(), static_cast<int>(slice.size())));
  EXPECT_EQ(response.id(), 9u);
  EXPECT_TRUE(response.has_response());
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT) << status.error_message();
  queue.Shutdown();
}

// Writes until nothing goes any more, without reading an answer.
TEST_F(ScoreStreamTest, WhoeverReadsNothingIsReadNoFurther) {
  std::atomic<uint64_t> sent{0};
  std::atomic<bool> more{true};
  const v1::ScoreRequest request = RequestOf(SomeRows(64));
  std::thread sender([&] {
    while (more && Send(sent + 1, request)) ++sent;
    stream_->WritesDone();
  });
  uint64_t before = 0;
  // Nothing was sent and nothing scored for a while: the sender is blocked.
  const auto stands_still = [&] {
    const uint64_t now = sent;
    const bool still = now == before && now > 0;
    before = now;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return still && sent == now;
  };
  EXPECT_TRUE(Eventually(stands_still));
  const uint64_t held = sent;
  // What gRPC's windows hold in both directions, and what a stream may hold here.
  EXPECT_LT(held, 20000u);
  EXPECT_EQ(server_.Metric("driftseal_pending_rows"), 0);
  EXPECT_TRUE(server_.Score(RequestOf(SomeRows(1))).status.ok());
  more = false;
  const auto answers = ReadAll();
  sender.join();
  EXPECT_EQ(answers.size(), sent);
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(ScoreStreamTest, ACallerThatGoesAwayLeavesNothing) {
  for (uint64_t id = 1; id <= 50; ++id) ASSERT_TRUE(Send(id, RequestOf(SomeRows(100, id))));
  context_.TryCancel();
  while (stream_->Read(std::make_unique<v1::ScoreStreamResponse>().get())) {
  }
  EXPECT_EQ(stream_->Finish().error_code(), StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return Idle() && server_.Metric("driftseal_pending_jobs") == 0; }));
}

TEST_F(ScoreStreamTest, ADrainAnswersWhatWasAcceptedAndEndsTheStream) {
  ASSERT_TRUE(Send(1, RequestOf(SomeRows(1))));
  v1::ScoreStreamResponse response;
  ASSERT_TRUE(stream_->Read(&response));
  EXPECT_TRUE(server_.server().Drain(std::chrono::steady_clock::now() + std::chrono::seconds(20)));
  EXPECT_FALSE(stream_->Read(&response));
  EXPECT_EQ(stream_->Finish().error_code(), StatusCode::UNAVAILABLE);
}

class SmallQueueTest : public ScoreStreamTest {
 protected:
  static serve::Options SmallQueue() {
    serve::Options options = TestServer::DefaultOptions();
    options.queue_rows = 128;
    options.batch_rows = 32;
    return options;
  }
  SmallQueueTest() : ScoreStreamTest(SmallQueue()) {}
};

TEST_F(SmallQueueTest, AFullQueueSlowsTheStreamsDownAndRefusesNothing) {
  constexpr int kStreams = 6;
  constexpr uint64_t kMessages = 150;
  std::vector<std::thread> threads;
  std::atomic<uint64_t> scored{0};
  for (int t = 0; t < kStreams; ++t) {
    threads.emplace_back([&] {
      const auto stub = v1::Scoring::NewStub(server_.Connect());
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
      const auto stream = stub->ScoreStream(&context);
      std::thread sender([&] {
        v1::ScoreStreamRequest message;
        *message.mutable_request() = RequestOf(SomeRows(40));
        for (uint64_t id = 1; id <= kMessages; ++id) {
          message.set_id(id);
          ASSERT_TRUE(stream->Write(message));
        }
        stream->WritesDone();
      });
      for (v1::ScoreStreamResponse response; stream->Read(&response);) {
        EXPECT_TRUE(response.has_response()) << response.error().message();
        scored += response.has_response() ? 1 : 0;
      }
      sender.join();
      EXPECT_TRUE(stream->Finish().ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(scored, kStreams * kMessages);
}

TEST_F(SmallQueueTest, RowsThatNeverFitAreAnError) {
  ASSERT_TRUE(Send(1, RequestOf(SomeRows(200))) && Send(2, RequestOf(SomeRows(2))));
  stream_->WritesDone();
  const auto answers = ReadAll();
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers.at(1).error().code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(answers.at(2).has_response());
}

class RateTest : public ScoreStreamTest {
 protected:
  static serve::Options Limited() {
    serve::Options options = TestServer::DefaultOptions();
    options.client_requests_per_second = 50;
    options.client_burst = 5;
    return options;
  }
  RateTest() : ScoreStreamTest(Limited()) {}
};

TEST_F(RateTest, AStreamKeepsToItsClientsRate) {
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t id = 1; id <= 24; ++id) ASSERT_TRUE(Send(id, RequestOf(SomeRows(1))));
  stream_->WritesDone();
  EXPECT_EQ(ReadAll().size(), 24u);
  // The call takes one request and the messages 24; five are there at once, the other 20 come at 50 a second.
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(390));
  EXPECT_TRUE(stream_->Finish().ok());
}

TEST_F(RateTest, ACallerThatGoesAwayWhileItIsHeldBackLeavesNothing) {
  for (uint64_t id = 1; id <= 40; ++id) ASSERT_TRUE(Send(id, RequestOf(SomeRows(1))));
  v1::ScoreStreamResponse response;
  ASSERT_TRUE(stream_->Read(&response));
  context_.TryCancel();
  while (stream_->Read(&response)) {
  }
  EXPECT_EQ(stream_->Finish().error_code(), StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return Idle(); }));
}

}  // namespace
}  // namespace driftseal::testing
