#include <algorithm>
#include <map>
#include <sstream>

#include "fixture.h"

// What a model that has taken over its worker can do, and what happens where the kernel has less to offer.
namespace driftseal::canary {
namespace {

using ::testing::HasSubstr;

std::map<std::string, std::string> CallsOf(const std::string& lines) {
  std::map<std::string, std::string> calls;
  std::istringstream in(lines);
  for (std::string name, result; in >> name >> result;) calls[name] = result;
  return calls;
}

class SandboxTest : public WorkersTest {
 protected:
  /// What became of each way out, without some measures.
  std::map<std::string, std::string> Calls(const std::vector<std::string>& without = {}) {
    PoolOptions options = Options();
    options.allow_missing.insert(options.allow_missing.end(), without.begin(), without.end());
    options.program = Without(without);
    Start(options);
    if (HasFatalFailure()) return {};
    const absl::StatusOr<std::string> answer = Run("calls");
    EXPECT_TRUE(answer.ok()) << answer.status();
    return CallsOf(answer.value_or(""));
  }
};

TEST_F(SandboxTest, WhatTheMachineHasIsActive) {
  Start(Options());
  ASSERT_NE(workers_, nullptr);
  const std::vector<std::string> lacking = LackingHere();
  ASSERT_EQ(workers_->measures().size(), 9u);
  for (const SandboxMeasure& measure : workers_->measures()) {
    const bool lacks = std::find(lacking.begin(), lacking.end(), measure.name) != lacking.end();
    EXPECT_TRUE(measure.active || lacks) << measure.name << ": " << measure.problem;
    EXPECT_EQ(measure.active, measure.problem.empty()) << measure.name;
  }
}

TEST_F(SandboxTest, NothingIsPermitted) {
  const std::map<std::string, std::string> calls = Calls();
  EXPECT_GT(calls.size(), 35u);
  for (const auto& [name, result] : calls) EXPECT_EQ(result, "EPERM") << name;
}

TEST_F(SandboxTest, TheOtherMeasuresHoldWithoutTheFilter) {
  std::map<std::string, std::string> calls = Calls({"seccomp"});
  for (const char* name : {"open-read", "open-self", "open-directory", "creat", "mkdir", "exec"}) {
    EXPECT_EQ(calls[name], "EACCES") << name;  // Landlock
  }
  for (const char* name : {"connect-out", "connect-local"}) {
    EXPECT_THAT(calls[name], ::testing::AnyOf("ENETUNREACH", "EACCES")) << name;  // an empty network, Landlock
  }
  // The kernel's own root is exempt from RLIMIT_NPROC; in a user namespace nobody is it.
  for (const char* name : {"fork", "fork-raw", "thread"}) {
    if (LackingHere().empty()) {
      EXPECT_EQ(calls[name], "EAGAIN") << name;
    }
  }
  for (const char* name : {"mount", "chroot", "setrlimit", "ioctl"}) {
    EXPECT_NE(calls[name], "0") << name;  // no capabilities
  }
}

TEST_F(SandboxTest, RefusesWhereAMeasureLacks) {
  for (const std::string name : {"landlock", "seccomp", "user-namespace", "rlimits", "no-new-privs", "capabilities"}) {
    PoolOptions options = Options();
    std::erase(options.allow_missing, name);
    options.program = Without({name});
    const auto refused = ReplayWorkers::Start(options);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << name << refused.status();
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr(name + " (left out)"));
    options.allow_missing = {"another"};
    EXPECT_FALSE(ReplayWorkers::Start(options).ok());
  }
}

TEST_F(SandboxTest, RunsWithoutWhatIsAllowedToLack) {
  PoolOptions options = Options();
  const std::vector<std::string> lacking = {"pid-namespace", "network-namespace"};
  options.program = Without(lacking);
  options.allow_missing.insert(options.allow_missing.end(), lacking.begin(), lacking.end());
  Start(options);
  ASSERT_NE(workers_, nullptr);
  EXPECT_EQ(Run("echo x").value_or("?"), "x set-one  1");
  for (const SandboxMeasure& measure : workers_->measures()) {
    const bool left_out = std::find(lacking.begin(), lacking.end(), measure.name) != lacking.end();
    if (left_out) {
      EXPECT_EQ(measure.problem, "left out") << measure.name;
    }
  }
  options.program = Without({"landlock", "seccomp", "rlimits"});
  options.allow_missing = {"all"};
  Start(options);
  EXPECT_EQ(Run("echo x").value_or("?"), "x set-one  1");
}

TEST_F(SandboxTest, ProgramsThatAreNoService) {
  for (const auto& [script, said] : {std::pair{"exit 3", "exit code 3"},
                                     {"echo out of luck >&2; exit 1", "out of luck"},
                                     {"kill -9 $$", "signal 9"}}) {
    PoolOptions options = Options();
    options.program = Without({});
    std::ofstream(options.program) << "#!/bin/sh\n" << script << "\n";
    const auto refused = ReplayWorkers::Start(options);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr(said));
    EXPECT_THAT(std::string(refused.status().message()), HasSubstr(options.program));
  }
  PoolOptions options = Options();
  options.program = "/nowhere/driftseal-replay";
  EXPECT_THAT(std::string(ReplayWorkers::Start(options).status().message()), HasSubstr("cannot be started"));
}

}  // namespace
}  // namespace driftseal::canary
