#include "client/cpp/src/retry.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "tests/client/cpp/fake_engine.h"

// What is tried again, how often, when, and what is told about it.
namespace driftseal::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Not;
using ::testing::SizeIs;

class RetryTest : public ::testing::Test {
 protected:
  // Score fails so many times, and then scores.
  void FailFirst(int times, grpc::Status failure) {
    engine_.score = [this, times, failure](grpc::ServerContext&, const v1::ScoreRequest& request,
                                           v1::ScoreResponse& response) {
      if (++calls_ <= times) return failure;
      response = ScoresOf(request);
      return grpc::Status::OK;
    };
  }
  static constexpr int kAlways = 1 << 20;

  ScoreRequest OneRow() const {
    ScoreRequest request;
    request.rows = {row_, 2};
    return request;
  }

  FakeEngine engine_;
  std::atomic<int> calls_{0};
  const std::vector<float> row_ = {7, 8};
};

TEST_F(RetryTest, UnavailableIsTriedAgainUntilItGoesWell) {
  FailFirst(3, {grpc::StatusCode::UNAVAILABLE, "gone"});
  const Client client = ClientOf(QuickOptions(engine_));
  const Result<ScoreResult> result = client.Score(OneRow());
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_THAT(result->combined, ::testing::ElementsAre(7.0));
  EXPECT_EQ(calls_, 4);
}

TEST_F(RetryTest, TheLastErrorIsTheCallsAfterSoManyAttempts) {
  FailFirst(kAlways, {grpc::StatusCode::UNAVAILABLE, "gone for good"});
  ClientOptions options = QuickOptions(engine_);
  options.retry.max_attempts = 4;
  const Status status = ClientOf(options).Score(OneRow()).status();
  EXPECT_EQ(status.code, Code::kUnavailable);
  EXPECT_EQ(status.attempts, 4);
  EXPECT_EQ(calls_, 4);
  EXPECT_THAT(status.ToString(), AllOf(HasSubstr("gone for good"), HasSubstr("4 attempts"), HasSubstr("UNAVAILABLE")));
}

TEST_F(RetryTest, TheEnginesAdviceIsWaitedFor) {
  std::vector<std::chrono::steady_clock::time_point> times;
  engine_.score = [&](grpc::ServerContext&, const v1::ScoreRequest&, v1::ScoreResponse& response) {
    times.push_back(std::chrono::steady_clock::now());
    response.add_combined(1);
    return times.size() < 3 ? Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, 150ms) : grpc::Status::OK;
  };
  ASSERT_TRUE(ClientOf(QuickOptions(engine_)).Score(OneRow()).ok());
  ASSERT_THAT(times, SizeIs(3));
  EXPECT_GE(times[1] - times[0], 150ms);
  EXPECT_GE(times[2] - times[1], 150ms);
}

TEST_F(RetryTest, ARefusalTellsTheLoadAndWhenToComeAgain) {
  FailFirst(kAlways, Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, 20ms));
  ClientOptions options = QuickOptions(engine_);
  options.retry.max_attempts = 1;
  const Status status = ClientOf(options).Score(OneRow()).status();
  EXPECT_EQ(status.code, Code::kResourceExhausted);
  ASSERT_TRUE(status.load.has_value());
  EXPECT_EQ(status.load->resource, "client-queue");
  EXPECT_EQ(status.load->used, 41u);
  EXPECT_EQ(status.load->limit, 42u);
  EXPECT_EQ(status.retry_after, 20ms);
  EXPECT_THAT(status.request_id, SizeIs(32));
}

TEST_F(RetryTest, WhatWouldFailAgainIsNotTriedAgain) {
  const Client client = ClientOf(QuickOptions(engine_));
  int before = 0;
  for (const grpc::StatusCode code :
       {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::NOT_FOUND, grpc::StatusCode::INTERNAL,
        grpc::StatusCode::UNAUTHENTICATED, grpc::StatusCode::PERMISSION_DENIED, grpc::StatusCode::DEADLINE_EXCEEDED,
        grpc::StatusCode::RESOURCE_EXHAUSTED}) {  // The last without advice, as for a message that is too large.
    FailFirst(kAlways, {code, "no"});
    EXPECT_EQ(client.Score(OneRow()).status().code, static_cast<Code>(code));
    EXPECT_EQ(calls_, ++before) << code;
  }
}

TEST_F(RetryTest, WhatIsNotIdempotentIsTriedAgainOnlyWhereItWasRefused) {
  std::atomic<int> fits{0};
  engine_.fit = [&](grpc::ServerContext&, const v1::FitRequest&, v1::Operation&) {
    ++fits;
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "may have begun");
  };
  const Client client = ClientOf(QuickOptions(engine_));
  EXPECT_EQ(client.Fit({}).status().code, Code::kUnavailable);
  EXPECT_EQ(fits, 1);
  engine_.fit = [&](grpc::ServerContext&, const v1::FitRequest&, v1::Operation& operation) {
    operation.set_name("op-1");
    return ++fits < 4 ? Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, 1ms) : grpc::Status::OK;
  };
  const Result<Operation> operation = client.Fit({});
  ASSERT_TRUE(operation.ok()) << operation.status().ToString();
  EXPECT_EQ(operation->name, "op-1");
  EXPECT_EQ(fits, 4);
}

TEST_F(RetryTest, AWaitThatWouldPassTheDeadlineIsNotBegun) {
  FailFirst(kAlways, Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, 60s));
  CallOptions call;
  call.timeout = 20s;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(ClientOf(QuickOptions(engine_)).Score(OneRow(), call).status().code, Code::kResourceExhausted);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 15s);
  EXPECT_EQ(calls_, 1);
}

TEST_F(RetryTest, TheDeadlineIsOfAllAttemptsTogether) {
  std::vector<std::chrono::system_clock::time_point> deadlines;
  engine_.score = [&](grpc::ServerContext& context, const v1::ScoreRequest&, v1::ScoreResponse&) {
    deadlines.push_back(context.deadline());
    if (deadlines.size() < 3) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "");
    while (!context.IsCancelled()) std::this_thread::sleep_for(1ms);
    return grpc::Status::CANCELLED;
  };
  CallOptions call;
  call.timeout = 300ms;
  const Status status = ClientOf(QuickOptions(engine_)).Score(OneRow(), call).status();
  EXPECT_EQ(status.code, Code::kDeadlineExceeded);
  EXPECT_EQ(status.attempts, 3);
  ASSERT_THAT(deadlines, SizeIs(3));
  EXPECT_LT(deadlines[2] - deadlines[0], 50ms) << "the same moment, but for the wire's rounding";
}

TEST_F(RetryTest, TheBudgetEndsRetriesOfAllCalls) {
  FailFirst(kAlways, {grpc::StatusCode::UNAVAILABLE, "down"});
  ClientOptions options = QuickOptions(engine_);
  options.retry.budget_tokens = 6;
  options.retry.max_attempts = 3;
  const Client client = ClientOf(options);
  std::vector<int> attempts;
  for (int i = 0; i < 4; ++i) attempts.push_back(client.Score(OneRow()).status().attempts);
  EXPECT_THAT(attempts, ::testing::ElementsAre(3, 1, 1, 1)) << "six tokens, and none is spent below half of them";
}

TEST_F(RetryTest, ACallIsStoppedWhileItRunsAndWhileItWaits) {
  Event running;
  engine_.score = [&](grpc::ServerContext& context, const v1::ScoreRequest&, v1::ScoreResponse&) {
    running.Set();
    while (!context.IsCancelled()) std::this_thread::sleep_for(1ms);
    return grpc::Status::CANCELLED;
  };
  const Client client = ClientOf(QuickOptions(engine_));
  Canceller canceller;
  CallOptions call;
  call.canceller = &canceller;
  {
    std::thread stopper([&] { running.Wait(), canceller.Cancel(); });
    EXPECT_EQ(client.Score(OneRow(), call).status().code, Code::kCancelled);
    stopper.join();
  }
  Event refused;
  engine_.score = [&](grpc::ServerContext&, const v1::ScoreRequest&, v1::ScoreResponse&) {
    refused.Set();
    return Refusal(grpc::StatusCode::RESOURCE_EXHAUSTED, 3600s);
  };
  Canceller other;
  call.canceller = &other;
  call.timeout = -1ms;
  std::thread stopper([&] { refused.Wait(), other.Cancel(); });
  EXPECT_EQ(client.Score(OneRow(), call).status().code, Code::kCancelled);
  stopper.join();
}

TEST_F(RetryTest, TokenAndRequestIdTravelWithEachAttempt) {
  std::set<std::string> tokens, ids;
  engine_.score = [&](grpc::ServerContext& context, const v1::ScoreRequest&, v1::ScoreResponse&) {
    tokens.insert(MetadataOf(context, "authorization"));
    ids.insert(MetadataOf(context, "x-request-id"));
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "");
  };
  ClientOptions options = QuickOptions(engine_);
  options.token = "ds_secret";
  options.retry.max_attempts = 3;
  const Client client = ClientOf(options);
  CallOptions call;
  call.request_id = "mine-1";
  EXPECT_EQ(client.Score(OneRow(), call).status().request_id, "mine-1");
  EXPECT_THAT(tokens, ::testing::ElementsAre("Bearer ds_secret"));
  EXPECT_THAT(ids, ::testing::ElementsAre("mine-1"));
  client.Score(OneRow());
  EXPECT_THAT(ids, SizeIs(2)) << "another call has another id";
}

TEST_F(RetryTest, TheEnginesOwnRequestIdIsTold) {
  engine_.score = [&](grpc::ServerContext& context, const v1::ScoreRequest&, v1::ScoreResponse&) {
    context.AddTrailingMetadata("x-request-id", "engines-own");
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "rows: expected 3 columns");
  };
  EXPECT_EQ(ClientOf(QuickOptions(engine_)).Score(OneRow()).status().request_id, "engines-own");
}

TEST(OptionsTest, ATokenDoesNotTravelInTheClear) {
  ClientOptions options;
  options.token = "ds_secret";
  for (const std::string address :
       {"engine.example.com:50051", "127.example.com:1", "10.0.0.1:50051", "[2001:db8::1]:1"}) {
    options.address = address;
    const Status status = Client::Create(options).status();
    EXPECT_EQ(status.code, Code::kInvalidArgument) << address;
    EXPECT_THAT(status.message, AllOf(HasSubstr(address), Not(HasSubstr("ds_secret"))));
  }
  for (const std::string address : {"localhost:1", "127.0.0.1:1", "[::1]:1", "unix:/run/e", "dns:///localhost:1"}) {
    options.address = address;
    EXPECT_TRUE(Client::Create(options).ok()) << address;
  }
  options.address = "engine.example.com:50051";
  options.allow_plaintext_token = true;
  EXPECT_TRUE(Client::Create(options).ok());
}

TEST(OptionsTest, FilesThatAreNotThereAreNamed) {
  ClientOptions options;
  options.address = "localhost:1";
  options.token_file = "/no/such/token";
  EXPECT_THAT(Client::Create(options).status().message, HasSubstr("/no/such/token"));
  options.token_file.clear();
  options.tls.enabled = true;
  options.tls.ca_file = "/no/such/ca.pem";
  EXPECT_EQ(Client::Create(options).status().code, Code::kNotFound);
  options.tls.ca_file.clear();
  options.tls.certificate = "a certificate without its key";
  EXPECT_EQ(Client::Create(options).status().code, Code::kInvalidArgument);
}

TEST(BackoffTest, WaitsAreDrawnFromTheWholeRange) {
  RetryPolicy policy;
  policy.initial_backoff = 100ms;
  policy.max_backoff = 1000ms;
  std::vector<std::vector<std::chrono::milliseconds>> waits(6);
  for (int i = 0; i < 500; ++i) {
    internal::Backoff backoff(policy);
    for (auto& of_attempt : waits) of_attempt.push_back(backoff.Next({}));
  }
  const std::chrono::milliseconds bounds[] = {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms};
  for (size_t i = 0; i < waits.size(); ++i) {
    EXPECT_THAT(waits[i], Each(AllOf(Ge(0ms), Le(bounds[i]))));
    const auto [least, most] = std::minmax_element(waits[i].begin(), waits[i].end());
    EXPECT_LT(*least, bounds[i] / 5) << "full jitter reaches down to nothing";
    EXPECT_GT(*most, bounds[i] * 4 / 5);
  }
}

TEST(BackoffTest, TheAdviceIsTheLeast) {
  internal::Backoff backoff(RetryPolicy{});
  for (int i = 0; i < 20; ++i) EXPECT_THAT(backoff.Next(700ms), AllOf(Ge(700ms), Le(5700ms)));
}

TEST(BudgetTest, SuccessesFillItAgain) {
  RetryPolicy policy;
  policy.budget_tokens = 4;
  policy.budget_ratio = 0.5;
  internal::RetryBudget budget(policy);
  EXPECT_TRUE(budget.Failed());
  EXPECT_FALSE(budget.Failed()) << "half is left";
  for (int i = 0; i < 4; ++i) budget.Succeeded();
  EXPECT_TRUE(budget.Failed());
  policy.budget_tokens = 0;
  internal::RetryBudget none(policy);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(none.Failed());
}

}  // namespace
}  // namespace driftseal::testing
