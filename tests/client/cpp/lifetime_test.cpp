#include <malloc.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "driftseal/client.h"
#include "gmock/gmock.h"
#include "tests/support/temp_folder.h"

// Clients that go before their calls do, so that the call holds the process's last channel when gRPC calls back.
// Nothing here may make a server of gRPC's: it would keep gRPC's threads, and hide what becomes of them.
namespace driftseal::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kRounds = 20;

class LifetimeTest : public ::testing::Test {
 protected:
  // What is used after it was freed is seen to be.
  static void SetUpTestSuite() { ::mallopt(M_PERTURB, 0xAA); }
  static void TearDownTestSuite() { ::mallopt(M_PERTURB, 0); }

  static Client ClientOf(const std::string& address, int attempts) {
    ClientOptions options;
    options.address = "unix:" + address;
    options.timeout = 5min;
    options.retry.max_attempts = attempts;
    options.retry.initial_backoff = options.retry.max_backoff = 2ms;
    return Client::Create(options).value();
  }
  // Nobody listens: calls end at once.
  Client Unconnected(int attempts) const { return ClientOf((folder_ / "nothing").string(), attempts); }
  // Somebody listens and never says anything: calls end when they are cancelled.
  Client Unanswered() {
    if (listener_ < 0) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      socket_.copy(address.sun_path, sizeof address.sun_path - 1);
      listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
      EXPECT_EQ(::listen(listener_, 2 * kRounds), 0);
    }
    return ClientOf(socket_, 1);
  }
  ~LifetimeTest() override {
    if (listener_ >= 0) ::close(listener_);
  }
  ScoreRequest OneRow() const {
    ScoreRequest request;
    request.rows = {row_, 2};
    return request;
  }

  const TempFolder folder_;
  const std::string socket_ = (folder_ / "s").string();
  int listener_ = -1;
  const std::vector<float> row_ = {7, 8};
};

TEST_F(LifetimeTest, AScoreOutlivesItsClient) {
  for (int round = 0; round < kRounds; ++round) {
    std::future<Result<ScoreResult>> future = Unconnected(1).ScoreAsync(OneRow());
    const Status status = future.get().status();
    EXPECT_EQ(status.code, Code::kUnavailable) << status.ToString();
  }
}

TEST_F(LifetimeTest, AScoreThatIsTriedAgainOutlivesItsClient) {
  for (int round = 0; round < kRounds; ++round) {
    std::future<Result<ScoreResult>> future = Unconnected(3).ScoreAsync(OneRow());
    EXPECT_EQ(future.get().status().attempts, 3);
  }
}

TEST_F(LifetimeTest, AScoreThatIsCancelledOutlivesItsClient) {
  for (int round = 0; round < kRounds; ++round) {
    Canceller canceller;
    CallOptions call;
    call.canceller = &canceller;
    std::future<Result<ScoreResult>> future =
        (round % 2 == 0 ? Unconnected(1 << 20) : Unanswered()).ScoreAsync(OneRow(), call);
    std::this_thread::sleep_for(std::chrono::milliseconds(round % 4));
    canceller.Cancel();
    EXPECT_FALSE(future.get().ok());
  }
}

TEST_F(LifetimeTest, TheCallOfAStreamOutlivesIt) {
  for (int round = 0; round < kRounds; ++round) {
    ScoreStream stream = Unanswered().OpenScoreStream();
    EXPECT_TRUE(stream.Send(OneRow()).ok());
  }
}

TEST_F(LifetimeTest, ManyGoAtOnce) {
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::future<Result<ScoreResult>>> futures;
    for (int i = 0; i < 8; ++i) futures.push_back(Unconnected(1 + i % 2).ScoreAsync(OneRow()));
    for (std::future<Result<ScoreResult>>& future : futures) {
      EXPECT_EQ(future.get().status().code, Code::kUnavailable);
    }
  }
}

}  // namespace
}  // namespace driftseal::testing
