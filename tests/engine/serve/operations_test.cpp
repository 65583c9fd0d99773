#include "engine/serve/operations.h"

#include <atomic>
#include <condition_variable>
#include <future>
#include <thread>
#include <vector>

#include "gmock/gmock.h"

namespace driftseal::serve {
namespace {

using ::testing::HasSubstr;
using State = v1::Operation::State;

State StateOf(const Operations& operations, const std::string& name) {
  const absl::StatusOr<v1::Operation> operation = operations.Get(name);
  return operation.ok() ? operation->state() : v1::Operation::STATE_UNSPECIFIED;
}

// Ends once it is told to stop.
absl::Status UntilStopped(std::promise<void>& began, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  began.set_value();
  wake.wait(lock, stop, [] { return false; });
  return absl::CancelledError("stopped");
}

v1::Operation WaitForEnd(Operations& operations, const std::string& name) {
  std::promise<v1::Operation> ended;
  std::atomic<bool> told{false};
  const auto watch = operations.WatchChanges(name, [&](const v1::Operation& operation) {
    if (!IsGoing(operation) && !told.exchange(true)) ended.set_value(operation);
  });
  const absl::StatusOr<v1::Operation> now = operations.Get(name);
  if (now.ok() && !IsGoing(*now) && !told.exchange(true)) ended.set_value(*now);
  v1::Operation operation = ended.get_future().get();
  operations.Unwatch(watch);
  return operation;
}

TEST(Operations, RunOneAfterTheOtherAndTellHowFarTheyAre) {
  Operations operations;
  std::promise<void> go;
  std::atomic<int> running{0}, most{0};
  const auto work = [&](Operations::Report& report, const std::stop_token&, v1::Operation& result) {
    most = std::max<int>(most, ++running);
    report.Stage("reading", 3);
    report.Done(2);
    result.mutable_detector()->set_name("made");
    result.add_left_out("m: why");
    --running;
    return absl::OkStatus();
  };
  const auto first = operations.Start([&](Operations::Report&, const std::stop_token&, v1::Operation&) {
    go.get_future().wait();
    return absl::InternalError("broken");
  });
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->state(), v1::Operation::STATE_QUEUED);
  const auto second = operations.Start(work), third = operations.Start(work);
  std::vector<v1::Operation> seen;
  std::mutex mutex;
  const auto watch = operations.WatchChanges(second->name(), [&](const v1::Operation& operation) {
    const std::lock_guard lock(mutex);
    seen.push_back(operation);
  });
  EXPECT_EQ(StateOf(operations, second->name()), v1::Operation::STATE_QUEUED);
  go.set_value();
  EXPECT_EQ(WaitForEnd(operations, first->name()).error(), "broken");
  EXPECT_EQ(StateOf(operations, first->name()), v1::Operation::STATE_FAILED);
  const v1::Operation done = WaitForEnd(operations, second->name());
  WaitForEnd(operations, third->name());
  operations.Unwatch(watch);
  EXPECT_EQ(done.state(), v1::Operation::STATE_DONE);
  EXPECT_EQ(done.detector().name(), "made");
  EXPECT_EQ(done.left_out(0), "m: why");
  EXPECT_GE(done.ended().seconds(), done.created().seconds());
  EXPECT_EQ(most, 1);
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].state(), v1::Operation::STATE_RUNNING);
  EXPECT_EQ(seen[2].stage() + std::to_string(seen[2].done()) + "/" + std::to_string(seen[2].total()), "reading2/3");
  EXPECT_EQ(seen[3].state(), v1::Operation::STATE_DONE);
}

TEST(Operations, AreCancelledWaitingOrRunning) {
  Operations operations;
  std::promise<void> began;
  const auto running = operations.Start(
      [&](Operations::Report&, const std::stop_token& stop, v1::Operation&) { return UntilStopped(began, stop); });
  bool ran = false;
  const auto waiting = operations.Start([&](Operations::Report&, const std::stop_token&, v1::Operation&) {
    ran = true;
    return absl::OkStatus();
  });
  began.get_future().wait();
  EXPECT_EQ(operations.Cancel(waiting->name())->state(), v1::Operation::STATE_CANCELLED) << "at once";
  ASSERT_TRUE(operations.Cancel(running->name()).ok());
  EXPECT_EQ(WaitForEnd(operations, running->name()).state(), v1::Operation::STATE_CANCELLED);
  EXPECT_EQ(operations.Cancel(running->name())->state(), v1::Operation::STATE_CANCELLED) << "again: no harm";
  EXPECT_FALSE(ran);
  EXPECT_EQ(operations.Cancel("fit-9-0").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(operations.Get("fit-9-0").status().message()), HasSubstr("until the engine ends"));
}

TEST(Operations, AreBoundedWaitingAndKept) {
  Operations operations;
  std::promise<void> began;
  const auto running = operations.Start(
      [&](Operations::Report&, const std::stop_token& stop, v1::Operation&) { return UntilStopped(began, stop); });
  began.get_future().wait();
  const auto nothing = [](Operations::Report&, const std::stop_token&, v1::Operation&) { return absl::OkStatus(); };
  std::string last;
  for (size_t i = 0; i < Operations::kQueue; ++i) {
    const auto started = operations.Start(nothing);
    ASSERT_TRUE(started.ok());
    last = started->name();
  }
  EXPECT_EQ(operations.Start(nothing).status().code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(operations.Cancel(running->name()).ok());
  WaitForEnd(operations, last);
  for (size_t i = 0; i < Operations::kKept; ++i) WaitForEnd(operations, operations.Start(nothing)->name());
  EXPECT_EQ(StateOf(operations, running->name()), v1::Operation::STATE_UNSPECIFIED) << "forgotten";
}

TEST(Operations, EndingStopsThem) {
  std::promise<void> began;
  absl::Status ended;
  {
    Operations operations;
    ASSERT_TRUE(operations
                    .Start([&](Operations::Report&, const std::stop_token& stop, v1::Operation&) {
                      return ended = UntilStopped(began, stop);
                    })
                    .ok());
    began.get_future().wait();
  }
  EXPECT_EQ(ended.code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace driftseal::serve
