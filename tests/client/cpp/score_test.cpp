#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "tests/client/cpp/fake_engine.h"

// Scores in one message, in pieces, and without a thread that waits.
namespace driftseal::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Rows whose first value is their number.
std::vector<float> Numbered(size_t rows, size_t cols) {
  std::vector<float> values(rows * cols);
  for (size_t i = 0; i < rows; ++i) values[i * cols] = static_cast<float>(i);
  return values;
}

std::vector<double> UpTo(size_t rows) {
  std::vector<double> numbers(rows);
  std::iota(numbers.begin(), numbers.end(), 0.0);
  return numbers;
}

class ScoreTest : public ::testing::Test {
 protected:
  ScoreTest() {
    engine_.score = [this](grpc::ServerContext&, const v1::ScoreRequest& request, v1::ScoreResponse& response) {
      Note(request);
      response = ScoresOf(request, Version(request));
      return grpc::Status::OK;
    };
    engine_.score_stream = [this](grpc::ServerContext&, auto& io) {
      v1::ScoreStreamRequest request;
      while (io.Read(&request)) {
        Note(request.request());
        v1::ScoreStreamResponse response;
        response.set_id(request.id());
        *response.mutable_response() = ScoresOf(request.request(), Version(request.request()));
        io.Write(response);
      }
      return grpc::Status::OK;
    };
  }

  // "name" means the active version, of which there is another one with each request.
  std::string Version(const v1::ScoreRequest& request) {
    return request.detector() == "name" ? "name@" + std::to_string(++active_) : request.detector();
  }
  void Note(const v1::ScoreRequest& request) {
    const std::lock_guard lock(mutex_);
    detectors_.insert(request.detector());
    largest_ = std::max(largest_, request.rows().float32_le().size());
    ++requests_;
  }
  ClientOptions InPieces() const {
    ClientOptions options = QuickOptions(engine_);
    options.piece_rows = 10;
    return options;
  }
  ScoreRequest Request(const std::vector<float>& values, size_t cols) const {
    ScoreRequest request;
    request.detector = "name";
    request.rows = {values, cols};
    return request;
  }

  FakeEngine engine_;
  std::mutex mutex_;
  std::set<std::string> detectors_;
  size_t largest_ = 0;
  int requests_ = 0;
  std::atomic<int> active_{0};
};

TEST_F(ScoreTest, ManyRowsGoInPiecesToOneVersionAndComeBackInOrder) {
  const std::vector<float> values = Numbered(1003, 3);
  const Result<ScoreResult> result = ClientOf(InPieces()).Score(Request(values, 3));
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->combined, UpTo(1003));
  EXPECT_EQ(result->p_value.back(), 3) << "the last piece has what is left";
  EXPECT_EQ(result->detector, "name@1");
  EXPECT_THAT(detectors_, ElementsAre("name", "name@1")) << "all but the first piece name the version";
  EXPECT_EQ(requests_, 101);
  EXPECT_EQ(largest_, 10 * 3 * sizeof(float));
}

TEST_F(ScoreTest, PiecesAreSmallInBytesToo) {
  ClientOptions options = QuickOptions(engine_);
  options.piece_bytes = 100;
  const std::vector<float> values = Numbered(20, 5);
  ASSERT_TRUE(ClientOf(options).Score(Request(values, 5)).ok());
  EXPECT_EQ(largest_, 100u);
  EXPECT_EQ(requests_, 4);
}

TEST_F(ScoreTest, APieceThatFailsFailsTheRequest) {
  engine_.score_stream = [](grpc::ServerContext&, auto& io) {
    v1::ScoreStreamRequest request;
    while (io.Read(&request)) {
      v1::ScoreStreamResponse response;
      response.set_id(request.id());
      response.mutable_error()->set_code(grpc::StatusCode::INVALID_ARGUMENT);
      response.mutable_error()->set_message("row 3: infinite");
      io.Write(response);
    }
    return grpc::Status::OK;
  };
  const std::vector<float> values = Numbered(100, 1);
  const Status status = ClientOf(InPieces()).Score(Request(values, 1)).status();
  EXPECT_EQ(status.code, Code::kInvalidArgument);
  EXPECT_EQ(status.message, "row 3: infinite");
}

TEST_F(ScoreTest, TheDeadlineAndTheCancellerReachTheStreamToo) {
  std::atomic<int> met{0};
  Event streaming;
  engine_.score_stream = [&](grpc::ServerContext& context, auto&) {
    ++met;
    streaming.Set();
    while (!context.IsCancelled()) std::this_thread::sleep_for(1ms);
    return grpc::Status::CANCELLED;
  };
  const std::vector<float> values = Numbered(100, 1);
  const Client client = ClientOf(InPieces());
  CallOptions call;
  call.timeout = 200ms;
  EXPECT_EQ(client.Score(Request(values, 1), call).status().code, Code::kDeadlineExceeded);
  EXPECT_EQ(met, 1);
  Canceller canceller;
  CallOptions stopped;
  stopped.canceller = &canceller;
  std::thread stopper([&] { streaming.Wait(), canceller.Cancel(); });
  EXPECT_EQ(client.Score(Request(values, 1), stopped).status().code, Code::kCancelled);
  stopper.join();
}

TEST_F(ScoreTest, RowsThatAreNotWholeAreRefusedHere) {
  const std::vector<float> values(7);
  const Client client = ClientOf(QuickOptions(engine_));
  EXPECT_THAT(client.Score(Request(values, 3)).status().message, HasSubstr("7 values"));
  EXPECT_EQ(client.ScoreAsync(Request(values, 0)).get().status().code, Code::kInvalidArgument);
  EXPECT_EQ(requests_, 0);
}

TEST_F(ScoreTest, ManyFuturesAreUnderWayAtOnce) {
  constexpr int kAtOnce = 8;
  std::atomic<int> waiting{0};
  Event all;
  engine_.score = [&](grpc::ServerContext&, const v1::ScoreRequest& request, v1::ScoreResponse& response) {
    if (++waiting == kAtOnce) all.Set();
    if (!all.Wait()) return grpc::Status(grpc::StatusCode::INTERNAL, "they came one by one");
    response = ScoresOf(request);
    return grpc::Status::OK;
  };
  const Client client = ClientOf(QuickOptions(engine_));
  std::vector<std::future<Result<ScoreResult>>> futures;
  for (int i = 0; i < kAtOnce; ++i) {
    const std::vector<float> row = {static_cast<float>(i)};
    futures.push_back(client.ScoreAsync(Request(row, 1)));  // The row is copied.
  }
  for (int i = 0; i < kAtOnce; ++i) {
    const Result<ScoreResult> result = futures[static_cast<size_t>(i)].get();
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_THAT(result->combined, ElementsAre(i));
  }
}

TEST_F(ScoreTest, AFutureIsRetriedAndGoesInPieces) {
  std::atomic<int> calls{0};
  const auto score = engine_.score;
  engine_.score = [&](grpc::ServerContext& context, const v1::ScoreRequest& request, v1::ScoreResponse& response) {
    return ++calls % 2 == 1 ? Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, 1ms) : score(context, request, response);
  };
  const std::vector<float> values = Numbered(35, 2);
  const Result<ScoreResult> result = ClientOf(InPieces()).ScoreAsync(Request(values, 2)).get();
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->combined, UpTo(35));
  EXPECT_EQ(calls, 8);
  EXPECT_THAT(detectors_, ElementsAre("name", "name@1"));
}

TEST_F(ScoreTest, AFutureOutlivesItsClientAndIsStopped) {
  Event running;
  engine_.score = [&](grpc::ServerContext& context, const v1::ScoreRequest&, v1::ScoreResponse&) {
    running.Set();
    while (!context.IsCancelled()) std::this_thread::sleep_for(1ms);
    return grpc::Status::CANCELLED;
  };
  const std::vector<float> row = {1};
  Canceller canceller;
  CallOptions call;
  call.canceller = &canceller;
  std::future<Result<ScoreResult>> future = ClientOf(QuickOptions(engine_)).ScoreAsync(Request(row, 1), call);
  ASSERT_TRUE(running.Wait());
  canceller.Cancel();
  EXPECT_EQ(future.get().status().code, Code::kCancelled);

  Event refused;
  engine_.score = [&](grpc::ServerContext&, const v1::ScoreRequest&, v1::ScoreResponse&) {
    refused.Set();
    return Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, 3600s);
  };
  Canceller other;
  call.canceller = &other;
  call.timeout = -1ms;
  future = ClientOf(QuickOptions(engine_)).ScoreAsync(Request(row, 1), call);
  ASSERT_TRUE(refused.Wait());
  other.Cancel();
  EXPECT_EQ(future.get().status().code, Code::kCancelled) << "while it waited for its next attempt";
}

TEST_F(ScoreTest, AllThatIsToldArrives) {
  engine_.score = [](grpc::ServerContext&, const v1::ScoreRequest& request, v1::ScoreResponse& response) {
    EXPECT_EQ(request.detail(), v1::DETAIL_DRIVERS);
    EXPECT_EQ(request.priority(), v1::PRIORITY_HIGH);
    EXPECT_EQ(request.family(), "text/class/abc");
    EXPECT_THAT(request.fingerprints(), ElementsAre("a.meta.json", "b.safetensors"));
    EXPECT_FALSE(request.has_rows());
    response.set_detector("d@7");
    response.add_combined(1.5);
    response.add_p_value(0.25);
    response.add_members("knn");
    response.add_member_scores(9.5);
    v1::RowDetail* detail = response.add_details();
    detail->set_remark("2 columns were missing");
    v1::Driver* driver = detail->add_drivers();
    driver->set_feature("head.norm");
    driver->set_value(4);
    driver->set_median(2);
    driver->set_robust_z(-3);
    driver->set_share(0.75);
    return grpc::Status::OK;
  };
  ScoreRequest request;
  request.family = "text/class/abc";
  request.fingerprints = {"a.meta.json", "b.safetensors"};
  request.detail = Detail::kDrivers;
  request.priority = Priority::kHigh;
  const ScoreResult result = ClientOf(QuickOptions(engine_)).Score(request).value();
  EXPECT_EQ(result.detector, "d@7");
  EXPECT_THAT(result.p_value, ElementsAre(0.25));
  EXPECT_THAT(result.members, ElementsAre("knn"));
  EXPECT_THAT(result.member_scores, ElementsAre(9.5));
  ASSERT_THAT(result.details, SizeIs(1));
  EXPECT_EQ(result.details[0].remark, "2 columns were missing");
  ASSERT_THAT(result.details[0].drivers, SizeIs(1));
  const Driver& driver = result.details[0].drivers[0];
  EXPECT_EQ(driver.feature, "head.norm");
  EXPECT_THAT((std::vector<double>{driver.value, driver.median, driver.robust_z, driver.share}),
              ElementsAre(4, 2, -3, 0.75));
}

}  // namespace
}  // namespace driftseal::testing
