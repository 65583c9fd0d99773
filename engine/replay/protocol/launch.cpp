#include "engine/replay/protocol/launch.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "engine/artifact/posix.h"
#include "engine/artifact/text.h"

namespace driftseal::replay {
namespace {

using artifact::Cat;

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

absl::StatusOr<pid_t> StartProgram(const std::string& program, const std::vector<std::string>& arguments,
                                   std::span<const std::pair<int, int>> descriptors) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  // Copies far up first: a descriptor that is to be copied may bear the number that another one's copy gets.
  std::vector<artifact::UniqueFd> copies;
  for (const auto& [from, to] : descriptors) {
    copies.emplace_back(fcntl(from, F_DUPFD_CLOEXEC, 64));
    posix_spawn_file_actions_adddup2(&actions, copies.back().get(), to);
  }
  // The program may meet signals that a thread of ours has blocked, and wants them.
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);

  // One thread a job is what makes results repeatable; arenas would each reserve address space, which is limited.
  std::vector<std::string> environment = {"LC_ALL=C", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1", "MALLOC_ARENA_MAX=2"};
  if (const char* path = std::getenv("LD_LIBRARY_PATH")) environment.push_back(Cat("LD_LIBRARY_PATH=", path));
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> environment_pointers = Pointers(environment), word_pointers = Pointers(words);

  pid_t pid = -1;
  const int failure =
      posix_spawn(&pid, program.c_str(), &actions, &attributes, word_pointers.data(), environment_pointers.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) {
    return absl::FailedPreconditionError(Cat(program, ": cannot be started: ", std::strerror(failure)));
  }
  return pid;
}

std::optional<int> TryWait(pid_t pid) {
  int status = 0;
  pid_t ended = 0;
  do {
    ended = waitpid(pid, &status, WNOHANG);
  } while (ended < 0 && errno == EINTR);
  return ended == pid ? std::optional(status) : std::nullopt;
}

void KillGroup(pid_t pid) {
  kill(-pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::string EndingText(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    return Cat("was ended by signal ", WTERMSIG(wait_status), " (", strsignal(WTERMSIG(wait_status)), ")");
  }
  return Cat("ended with exit code ", WEXITSTATUS(wait_status));
}

}  // namespace driftseal::replay
