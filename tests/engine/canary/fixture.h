#ifndef DRIFTSEAL_TESTS_ENGINE_CANARY_FIXTURE_H_
#define DRIFTSEAL_TESTS_ENGINE_CANARY_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/artifact/digest.h"
#include "engine/canary/replay_workers.h"
#include "tests/support/temp_folder.h"

namespace driftseal::canary {

using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

/// Long enough for any machine: no test waits for it unless it fails.
inline constexpr std::chrono::milliseconds kPatience{60'000};

inline std::span<const std::byte> BytesOf(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A set of the hostile program, whose only content is a name.
inline SharedSet MakeSet(std::string_view name) {
  SharedSet set;
  set.key = artifact::Sha256(BytesOf(name)).bytes;
  set.length = name.size();
  set.memory = *replay::SealedMemory("set", BytesOf(name));
  return set;
}

/// What this machine does not offer, found out without the code that is tested: a container may forbid namespaces, an
/// older kernel has no Landlock.
inline std::vector<std::string> LackingHere() {
  std::vector<std::string> lacking;
  const pid_t pid = fork();
  if (pid == 0) _exit(unshare(CLONE_NEWUSER) == 0 && unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWPID) == 0 ? 0 : 1);
  int status = -1;
  waitpid(pid, &status, 0);
  if (status != 0) lacking = {"user-namespace", "network-namespace", "ipc-namespace", "pid-namespace"};
  if (syscall(444, nullptr, 0, 1) < 0) lacking.push_back("landlock");  // landlock_create_ruleset: its version
  return lacking;
}

class WorkersTest : public ::testing::Test {
 protected:
  PoolOptions Options() const {
    PoolOptions options;
    options.program = DRIFTSEAL_HOSTILE_PROGRAM;
    options.workers = 2;
    options.time_limit = kPatience;
    options.memory_limit = size_t{256} << 20;
    options.allow_missing = LackingHere();
    return options;
  }
  void Start(const PoolOptions& options) {
    absl::StatusOr<std::unique_ptr<ReplayWorkers>> started = ReplayWorkers::Start(options);
    ASSERT_TRUE(started.ok()) << started.status();
    workers_ = *std::move(started);
  }
  absl::StatusOr<std::string> Run(std::string_view model, const std::string& options = "") {
    if (workers_ == nullptr) return absl::UnknownError("the workers were not started");
    ReplayWorkers::Work work;
    work.model = BytesOf(model);
    work.options = options;
    work.answer_capacity = 1 << 20;
    return workers_->Run(work, set_);
  }
  void ExpectError(std::string_view model, absl::StatusCode code, const std::string& said) {
    const absl::StatusOr<std::string> answer = Run(model);
    EXPECT_EQ(answer.status().code(), code) << model << ": " << answer.status() << answer.value_or("");
    EXPECT_THAT(std::string(answer.status().message()), ::testing::HasSubstr(said)) << model;
  }
  /// The hostile program without some measures of the sandbox, as a program of its own.
  std::string Without(const std::vector<std::string>& measures) {
    const std::string path = folder_.path() / "program";
    std::ofstream script(path);
    script << "#!/bin/sh\nexec " << DRIFTSEAL_HOSTILE_PROGRAM;
    for (const std::string& measure : measures) script << " --without=" << measure;
    script << " \"$@\"\n";
    script.close();
    chmod(path.c_str(), 0755);
    return path;
  }

  testing::TempFolder folder_;
  SharedSet set_ = MakeSet("set-one");
  std::unique_ptr<ReplayWorkers> workers_;
};

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_TESTS_ENGINE_CANARY_FIXTURE_H_
