#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "engine/canary/replay_pool.h"
#include "tests/support/temp_folder.h"

// The pool with the real program: LibTorch in the sandbox. Models and expected numbers: fixtures/make_models.py.
namespace driftseal::canary {
namespace {

using absl::StatusCode;
using replay::ModelRuntime;
using replay::RawBehaviour;
using ::testing::HasSubstr;
using std::chrono_literals::operator""s;

const std::string kFixtures = DRIFTSEAL_SOURCE_DIR "/tests/engine/canary/fixtures/";

std::span<const std::byte> BytesOf(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Four images of 8 × 8.
replay::CanarySet MakeSet() {
  replay::CanarySet set;
  set.name = "four";
  set.shape = set.image = {1, 8, 8};
  for (int i = 0; i < 4 * 64; ++i) set.inputs.push_back(static_cast<float>(i * 7 % 31) / 31);
  set.labels = {0, 1, 2, -1};
  return set;
}

class PoolTest : public ::testing::Test {
 protected:
  PoolOptions Options() const {
    PoolOptions options;
    options.program = DRIFTSEAL_BINARY_DIR "/bin/driftseal-replay";
    options.workers = 2;
    // A container may lack a measure; what each of them holds in is tried elsewhere (sandbox_test.cpp).
    options.allow_missing = {"all"};
    options.memory_limit = size_t{1} << 30;
    return options;
  }
  std::unique_ptr<ReplayPool> Start(const PoolOptions& options) {
    absl::StatusOr<std::unique_ptr<ReplayPool>> pool = ReplayPool::Start(options);
    EXPECT_TRUE(pool.ok()) << pool.status();
    return pool.ok() ? *std::move(pool) : nullptr;
  }
  absl::StatusOr<RawBehaviour> Replay(ReplayPool& pool, const std::string& name) {
    const std::string model = testing::ReadFile(kFixtures + name);
    return pool.Replay(BytesOf(model), ModelRuntime::kTorchScript, set_);
  }
  replay::CanarySet set_ = MakeSet();
};

TEST_F(PoolTest, OutputsAreWhatPyTorchSays) {
  const auto expected = nlohmann::json::parse(testing::ReadFile(kFixtures + "small.json"))["logits"];
  for (const bool isolate : {true, false}) {
    PoolOptions options = Options();
    options.isolate_each = isolate;
    const auto pool = Start(options);
    ASSERT_NE(pool, nullptr);
    for (int i = 0; i < 2; ++i) {
      const absl::StatusOr<RawBehaviour> behaviour = Replay(*pool, "small.pt");
      ASSERT_TRUE(behaviour.ok()) << behaviour.status();
      ASSERT_EQ(behaviour->logits.size(), 12u);
      for (size_t k = 0; k < 12; ++k) EXPECT_NEAR(behaviour->logits[k], expected[k].get<float>(), 1e-5);
    }
  }
}

TEST_F(PoolTest, ProbesGiveTheSameInEveryProcess) {
  const auto pool = Start(Options());
  ASSERT_NE(pool, nullptr);
  const std::string model = testing::ReadFile(kFixtures + "small.pt");
  std::vector<absl::StatusOr<RawBehaviour>> found(4, absl::UnknownError(""));
  std::vector<std::thread> threads;
  for (auto& each : found) {
    threads.emplace_back([&] { each = pool->Probe(BytesOf(model), ModelRuntime::kTorchScript, set_, {}); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& each : found) {
    ASSERT_TRUE(each.ok()) << each.status();
    EXPECT_FALSE(each->sweep.empty());
    EXPECT_EQ(each->sweep, found[0]->sweep);
    EXPECT_EQ(each->perturbation_logit, found[0]->perturbation_logit);
    EXPECT_EQ(each->margin, found[0]->margin);
  }
}

TEST_F(PoolTest, ModelsThatMisbehave) {
  PoolOptions options = Options();
  options.time_limit = 30s;
  const auto pool = Start(options);
  ASSERT_NE(pool, nullptr);
  const absl::StatusOr<RawBehaviour> fails = Replay(*pool, "fails.pt");
  EXPECT_EQ(fails.status().code(), StatusCode::kInternal) << fails.status();
  EXPECT_THAT(std::string(fails.status().message()), HasSubstr("the model does not want to"));
  const absl::StatusOr<RawBehaviour> eats = Replay(*pool, "eats.pt");
  EXPECT_EQ(eats.status().code(), StatusCode::kResourceExhausted) << eats.status();
  const absl::StatusOr<RawBehaviour> threads = Replay(*pool, "threads.pt");
  EXPECT_THAT(std::string(threads.status().message()), HasSubstr("not permitted"));
  EXPECT_TRUE(Replay(*pool, "small.pt").ok());
}

TEST_F(PoolTest, ModelThatSpinsIsEnded) {
  PoolOptions options = Options();
  options.time_limit = 2s;
  const auto pool = Start(options);
  ASSERT_NE(pool, nullptr);
  const absl::StatusOr<RawBehaviour> spins = Replay(*pool, "spins.pt");
  EXPECT_EQ(spins.status().code(), StatusCode::kDeadlineExceeded) << spins.status();
}

TEST_F(PoolTest, FilesThatAreNoModels) {
  const auto pool = Start(Options());
  ASSERT_NE(pool, nullptr);
  const std::string text = "no model", part = testing::ReadFile(kFixtures + "small.pt").substr(0, 2000);
  for (const std::string& file : {text, part}) {
    const absl::StatusOr<RawBehaviour> answer = pool->Replay(BytesOf(file), ModelRuntime::kTorchScript, set_);
    EXPECT_EQ(answer.status().code(), StatusCode::kInvalidArgument) << answer.status();
  }
  const absl::StatusOr<RawBehaviour> trees = pool->Replay(BytesOf(text), ModelRuntime::kXgboost, set_);
  EXPECT_EQ(trees.status().code(), StatusCode::kInvalidArgument) << trees.status();
  set_.shape = {64};
  set_.image.clear();
  EXPECT_EQ(Replay(*pool, "small.pt").status().code(), StatusCode::kInvalidArgument);
  set_.inputs.pop_back();
  EXPECT_EQ(Replay(*pool, "small.pt").status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace driftseal::canary
