#include "engine/detector/child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <stop_token>
#include <thread>

#include "fleet.h"

// The engine's side of the pipe, against programs that do not behave.
namespace driftseal::detector {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using testing::AllOf;
using testing::HasSubstr;

class ChildTest : public testing::Test {
 protected:
  absl::StatusOr<std::string> Call(const std::string& script, std::string_view request = "request",
                                   std::chrono::milliseconds timeout = 20s) {
    program_ = folder_ / "program";
    WriteAll(program_, "#!/bin/sh\n" + script + "\n");
    chmod(program_.c_str(), 0700);
    return CallReplay(program_, request, timeout);
  }
  void ExpectError(const absl::StatusOr<std::string>& answer, absl::StatusCode code, const std::string& said) {
    EXPECT_EQ(answer.status().code(), code) << answer.status();
    EXPECT_THAT(std::string(answer.status().message()), AllOf(HasSubstr(program_), HasSubstr(said)));
  }
  TemporaryFolder folder_;
  std::string program_;
};

TEST_F(ChildTest, GivesBackTheAnswersPayload) {
  const auto echo = Call("exec /bin/cat");  // a request is a frame, so an echo is an answer
  ASSERT_TRUE(echo.ok()) << echo.status();
  EXPECT_EQ(*echo, "request");
  EXPECT_EQ(Call("exec /bin/cat", "").value_or("?"), "");
}

TEST_F(ChildTest, LargeRequestsDoNotDeadlock) {
  const std::string large(8 << 20, 'x');
  const auto echo = Call("exec /bin/cat", large);
  ASSERT_TRUE(echo.ok()) << echo.status();
  EXPECT_TRUE(*echo == large);
}

TEST_F(ChildTest, ProgramThatIsNotThere) {
  const auto answer = CallReplay(program_ = folder_ / "absent", "request", 1s);
  ExpectError(answer, absl::StatusCode::kFailedPrecondition, "cannot be started");
}

TEST_F(ChildTest, ProgramThatIsNoProgram) {
  program_ = folder_ / "text";
  WriteAll(program_, "no program");
  ExpectError(CallReplay(program_, "request", 1s), absl::StatusCode::kFailedPrecondition, "cannot be started");
}

TEST_F(ChildTest, ProgramThatEndsWithoutReading) {
  ExpectError(Call("exit 0", std::string(4 << 20, 'x')), absl::StatusCode::kInternal, "answered 0 bytes");
  ExpectError(Call("exit 7"), absl::StatusCode::kInternal, "exit code 7");
}

TEST_F(ChildTest, ProgramThatCrashes) {
  ExpectError(Call("kill -SEGV $$"), absl::StatusCode::kInternal, "signal 11");
  ExpectError(Call("echo out of luck >&2; kill -ABRT $$"), absl::StatusCode::kInternal, "out of luck");
}

TEST_F(ChildTest, AnswersThatAreNoFrames) {
  ExpectError(Call("echo this is not a frame, but it is long enough for one"), absl::StatusCode::kInternal, "DSREPLY1");
  ExpectError(Call("printf DSREPLY1"), absl::StatusCode::kInternal, "8 bytes");
  ExpectError(Call("printf 'DSREPLY1\\377\\377\\377\\377\\377\\377\\377\\377'"), absl::StatusCode::kInternal, "limit");
  ExpectError(Call("printf 'DSREPLY1\\005\\000\\000\\000\\000\\000\\000\\000abc'"), absl::StatusCode::kInternal,
              "answered 3 bytes, announced as 5");
  ExpectError(Call("printf 'DSREPLY1\\001\\000\\000\\000\\000\\000\\000\\000abc'"), absl::StatusCode::kInternal,
              "announced");
}

TEST_F(ChildTest, NeverBlocksPastItsTimeout) {
  const auto start = std::chrono::steady_clock::now();
  ExpectError(Call("/bin/sleep 60", "request", 300ms), absl::StatusCode::kDeadlineExceeded, "no answer in time");
  ExpectError(Call("exec >&-; /bin/sleep 60", "request", 300ms), absl::StatusCode::kDeadlineExceeded, "did not end");
  ExpectError(Call("while :; do echo noise >&2; done", "request", 300ms), absl::StatusCode::kDeadlineExceeded, "noise");
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
}

TEST_F(ChildTest, IsKilledWhenItIsStopped) {
  const std::string started = folder_ / "started", pid_file = folder_ / "pid";
  for (const std::string& script :
       {"echo $$ > " + pid_file + "; mkfifo " + started + "; echo > " + started + "; exec /bin/sleep 600",
        "exec >&-; echo $$ > " + pid_file + "; mkfifo " + started + "; echo > " + started + "; exec /bin/sleep 600"}) {
    std::filesystem::remove(started);
    program_ = folder_ / "program";
    WriteAll(program_, "#!/bin/sh\n" + script + "\n");
    chmod(program_.c_str(), 0700);
    std::stop_source stop;
    absl::StatusOr<std::string> answer;
    std::thread call([&] { answer = CallReplay(program_, "request", 600s, stop.get_token()); });
    while (!std::filesystem::exists(started)) std::this_thread::yield();
    ReadAll(started);  // returns when the program has written to the pipe
    stop.request_stop();
    call.join();
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kCancelled) << answer.status();
    EXPECT_NE(kill(std::stoi(ReadAll(pid_file)), 0), 0);
  }
}

TEST_F(ChildTest, EnvironmentIsBare) {
  setenv("DRIFTSEAL_SECRET", "hunter2", 1);
  const auto answer = Call("/usr/bin/env >&2; exit 3");
  EXPECT_THAT(std::string(answer.status().message()), testing::Not(HasSubstr("hunter2")));
  EXPECT_THAT(std::string(answer.status().message()), HasSubstr("OMP_NUM_THREADS=1"));
}

}  // namespace
}  // namespace driftseal::detector
