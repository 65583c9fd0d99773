#include "engine/app/daemon.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "engine/artifact/atomic_file.h"
#include "engine/artifact/posix.h"

namespace driftseal::app {
namespace {

sigset_t Waited() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

}  // namespace

Signals::Signals() {
  const sigset_t set = Waited();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
}

int Signals::Wait() {
  const sigset_t set = Waited();
  int signal = 0;
  while (::sigwait(&set, &signal) != 0) {
  }
  return signal;
}

void Signals::EndAtOnce() {
  struct sigaction end = {};
  end.sa_handler = [](int signal) { ::_exit(128 + signal); };
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT}) {
    ::sigaction(signal, &end, nullptr);
    sigaddset(&set, signal);
  }
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

size_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
  if (before != limit.rlim_max && ::setrlimit(RLIMIT_NOFILE, &limit) != 0) return before;
  return limit.rlim_max;
}

absl::Status NotifyManager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return absl::OkStatus();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return absl::InvalidArgumentError("NOTIFY_SOCKET: the path is too long");
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // An abstract socket.
  const artifact::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return artifact::ErrnoStatus(errno, "NOTIFY_SOCKET", "no socket");
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const ssize_t sent =
      ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
  return sent < 0 ? artifact::ErrnoStatus(errno, "NOTIFY_SOCKET", "cannot be written") : absl::OkStatus();
}

Announcement::Announcement(std::string path) : path_(std::move(path)) {
  if (!path_.empty()) ::unlink(path_.c_str());
}

Announcement::~Announcement() {
  if (written_) ::unlink(path_.c_str());
}

absl::Status Announcement::Write(std::string_view text) {
  if (path_.empty()) return absl::OkStatus();
  absl::StatusOr<artifact::AtomicFile> file = artifact::AtomicFile::Create(path_);
  if (!file.ok()) return file.status();
  if (const absl::Status status = file->Write(text); !status.ok()) return status;
  if (const absl::Status status = file->Commit(); !status.ok()) return status;
  written_ = true;
  return absl::OkStatus();
}

}  // namespace driftseal::app
