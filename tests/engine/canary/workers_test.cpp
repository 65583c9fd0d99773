#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <random>
#include <thread>

#include "absl/strings/match.h"
#include "fixture.h"

// Models that misbehave cost their own call, and nothing else.
namespace driftseal::canary {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

TEST_F(WorkersTest, GivesBackTheAnswerOfEachModel) {
  Start(Options());
  EXPECT_EQ(Run("echo one", "{options}").value_or("?"), "one set-one {options} 1");
  set_ = MakeSet("set-two");
  EXPECT_EQ(Run("echo two").value_or("?"), "two set-two  1");
  EXPECT_EQ(Run("size 1048576").value_or("?").size(), 1048576u);  // all that there is room for
  EXPECT_EQ(Run("size 0").value_or("?"), "");
  ExpectError("size 1048577", StatusCode::kInternal, "1048577 bytes; the limit is 1048576");
}

TEST_F(WorkersTest, WorkersAreFreshOrUsedAgainAsAsked) {
  PoolOptions options = Options();
  Start(options);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Run("echo x").value_or("?"), "x set-one  1");
  options.isolate_each = false;
  options.workers = 1;
  Start(options);
  EXPECT_EQ(Run("echo x").value_or("?"), "x set-one  1");
  EXPECT_EQ(Run("echo x").value_or("?"), "x set-one  2");
  set_ = MakeSet("set-two");  // which the service did not know when it forked this worker
  EXPECT_EQ(Run("echo x").value_or("?"), "x set-two  3");
  ExpectError("fail", StatusCode::kInternal, "not finite");
  EXPECT_EQ(Run("echo x").value_or("?"), "x set-two  5");  // a failure that was told leaves a sound worker
  ExpectError("crash 11", StatusCode::kInternal, "signal 11");
  EXPECT_EQ(Run("echo x").value_or("?"), "x set-two  1");
  ExpectError("eat", StatusCode::kResourceExhausted, "memory");
  EXPECT_EQ(Run("echo x").value_or("?"), "x set-two  1");
}

TEST_F(WorkersTest, SpinningModelIsEndedInTime) {
  PoolOptions options = Options();
  options.time_limit = 300ms;
  Start(options);
  for (const char* model : {"spin", "sleep"}) {
    const auto start = std::chrono::steady_clock::now();
    ExpectError(model, StatusCode::kDeadlineExceeded, "300 ms");
    EXPECT_LT(std::chrono::steady_clock::now() - start, 20s);
  }
}

TEST_F(WorkersTest, MemoryIsLimited) {
  Start(Options());
  ExpectError("eat", StatusCode::kResourceExhausted, "memory");
  ExpectError("eat-for-ever", StatusCode::kResourceExhausted, "memory");
  ExpectError("fail torch", StatusCode::kResourceExhausted, "DefaultCPUAllocator");
}

TEST_F(WorkersTest, CrashesNameTheSignal) {
  Start(Options());
  ExpectError("crash 11", StatusCode::kInternal, "signal 11 (Segmentation fault)");
  ExpectError("crash 8", StatusCode::kInternal, "signal 8");
  ExpectError("abort", StatusCode::kInternal, "signal 6 (Aborted)");
  ExpectError("overflow", StatusCode::kInternal, "signal 11");
  ExpectError("write-model", StatusCode::kInternal, "signal 11");
  ExpectError("crash 9", StatusCode::kResourceExhausted, "signal 9");  // what the system's OOM killer does
  ExpectError("crash 24", StatusCode::kDeadlineExceeded, "signal 24");
  ExpectError("exit 0", StatusCode::kInternal, "exit code 0");
  ExpectError("exit 7", StatusCode::kInternal, "exit code 7");
}

TEST_F(WorkersTest, FailuresAreToldInTheModelsWords) {
  Start(Options());
  ExpectError("fail invalid", StatusCode::kInvalidArgument, "no such model");
  ExpectError("fail strange", StatusCode::kInternal, "may not give");
  ExpectError("fail throw", StatusCode::kInternal, "own words\\033[31m");  // escaped
  ExpectError("fail odd", StatusCode::kInternal, "without saying why");
  ExpectError("", StatusCode::kInvalidArgument, "0 bytes");
}

TEST_F(WorkersTest, WhatItPrintsIsKeptAndCut) {
  Start(Options());
  const absl::StatusOr<std::string> answer = Run("print");
  EXPECT_EQ(answer.status().code(), StatusCode::kInternal);
  const std::string text(answer.status().message());
  EXPECT_THAT(text, HasSubstr("printed enough"));
  EXPECT_THAT(text, HasSubstr("\\033[31mflood 0\\n"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("\x1b")));
  EXPECT_LT(text.size(), 8000u);
}

TEST_F(WorkersTest, LiesAreFoundOut) {
  PoolOptions options = Options();
  options.time_limit = 20s;
  Start(options);
  ExpectError("lie length", StatusCode::kInternal, "answer's length: 1048577, expected 0 to 1048576");
  ExpectError("lie huge", StatusCode::kInternal, "answer's length");
  ExpectError("lie id", StatusCode::kInternal, "a message's id");
  ExpectError("lie code", StatusCode::kInternal, "none that a worker may give");
  ExpectError("lie short", StatusCode::kInternal, "ends before it");
  ExpectError("lie long", StatusCode::kInternal, "1 bytes too many");
  ExpectError("lie magic", StatusCode::kInternal, "DSRS");
  ExpectError("lie kind", StatusCode::kInternal, "a message's kind");
  ExpectError("lie oversize", StatusCode::kInternal, "more than 8192 bytes");
  ExpectError("lie empty", StatusCode::kInternal, "closed its socket without an answer");
  ExpectError("close", StatusCode::kInternal, "closed its socket without an answer");
  EXPECT_EQ(Run("answer-twice").value_or("?"), "");
  EXPECT_EQ(Run("echo x").value_or("?"), "x set-one  1");
}

size_t OpenDescriptors() {
  size_t count = 0;
  DIR* const folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

TEST_F(WorkersTest, NothingIsLeftBehind) {
  const size_t before = OpenDescriptors();
  PoolOptions options = Options();
  options.time_limit = 500ms;
  Start(options);
  const size_t running = OpenDescriptors();
  for (const char* model : {"echo x", "crash 11", "spin", "lie descriptors", "print", "close", "fail", "lie id"}) {
    Run(model).IgnoreError();
    EXPECT_EQ(OpenDescriptors(), running) << model;
  }
  workers_.reset();
  EXPECT_EQ(OpenDescriptors(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);  // not even a zombie
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(WorkersTest, BadSetIsAnError) {
  Start(Options());
  set_ = MakeSet("bad");
  ExpectError("echo x", StatusCode::kInternal, "a bad set");
  set_ = MakeSet("good");
  set_.length += 1;
  ExpectError("echo x", StatusCode::kInternal, "announced as 5");
  set_ = MakeSet("better");
  EXPECT_EQ(Run("echo x").value_or("?"), "x better  1");
}

/// The service's own process: the child of the one that the engine started.
pid_t ServiceOf(pid_t outer) {
  std::ifstream in("/proc/" + std::to_string(outer) + "/task/" + std::to_string(outer) + "/children");
  pid_t inner = -1;
  in >> inner;
  return inner;
}

TEST_F(WorkersTest, EachJobGetsItsOwnAnswerWhileServicesAreKilled) {
  PoolOptions options = Options();
  options.workers = 4;
  Start(options);
  std::atomic<int> next = 0, answered = 0, failed = 0, other = 0;
  const auto work = [&] {
    for (int job; (job = next++) < 200;) {
      std::mt19937 random(static_cast<unsigned>(job));
      const unsigned kind = random() % 4;
      const std::string model = kind == 0 ? "crash 11" : kind == 1 ? "fail throw" : "echo job-" + std::to_string(job);
      const absl::StatusOr<std::string> answer = Run(model);
      const bool right = kind == 0   ? absl::StrContains(answer.status().message(), "signal 11")
                         : kind == 1 ? absl::StrContains(answer.status().message(), "own words")
                                     : answer.value_or("") == "job-" + std::to_string(job) + " set-one  1";
      ++(right ? (kind > 1 ? answered : failed) : other);
      if (!right) ADD_FAILURE() << model << ": " << answer.status() << answer.value_or("");
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back(work);
  for (const int at : {20, 60, 100, 140}) {  // far enough apart for three attempts
    while (next < at) std::this_thread::sleep_for(1ms);
    const pid_t outer = workers_->service_pid();
    const pid_t victim = at % 40 == 20 ? ServiceOf(outer) : outer;
    if (victim > 0) kill(victim, SIGKILL);
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered + failed, 200);
  EXPECT_EQ(other, 0);
  EXPECT_GT(failed, 20);
}

}  // namespace
}  // namespace driftseal::canary
