#include "engine/replay/service/serve.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "engine/artifact/text.h"
#include "engine/replay/protocol/channel.h"
#include "engine/replay/service/sandbox.h"
#include "engine/replay/service/worker.h"

namespace driftseal::replay {
namespace {

using artifact::Cat;

constexpr size_t kMostWorkers = 256;

int Complain(std::string_view what) {
  std::fprintf(stderr, "driftseal-replay: %.*s\n", static_cast<int>(what.size()), what.data());
  return 3;
}

/// Forks, watches and ends workers. One thread, which never waits for a worker.
class Service {
 public:
  Service(UniqueFd control, Sandbox sandbox, const Handlers& handlers)
      : control_(std::move(control)), sandbox_(std::move(sandbox)), handlers_(handlers) {}
  /// Opens what is needed later, closes the sandbox and greets the engine.
  absl::Status Begin();
  /// Until the engine closes the control socket.
  absl::Status Loop();

 private:
  struct Worker {
    pid_t pid = -1;
    UniqueFd life;
    bool killed = false;
  };
  absl::Status Start(const Received& received);
  absl::Status Fork(const Spawn& spawn, const std::vector<UniqueFd>& descriptors);
  void Reap();
  uint64_t AddressSpace() const;

  UniqueFd control_, signals_, statm_;
  Sandbox sandbox_;
  const Handlers& handlers_;
  SetCache sets_;
  std::vector<Worker> workers_;
};

absl::Status Service::Begin() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  if (sigprocmask(SIG_BLOCK, &child, nullptr) != 0) return absl::ErrnoToStatus(errno, "sigprocmask");
  signals_ = UniqueFd(signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.open()) return absl::ErrnoToStatus(errno, "signalfd");
  statm_ = UniqueFd(open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  if (!statm_.open()) return absl::ErrnoToStatus(errno, "/proc/self/statm");
  prctl(PR_SET_DUMPABLE, 0);  // no worker, although of the same user, may trace the service or read its memory
  sandbox_.Close();
  return SendMessage(control_.get(), Encode(Hello{sandbox_.measures()}));
}

uint64_t Service::AddressSpace() const {
  char text[64] = {};
  if (pread(statm_.get(), text, sizeof text - 1, 0) <= 0) return 0;
  return std::strtoull(text, nullptr, 10) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

absl::Status Service::Fork(const Spawn& spawn, const std::vector<UniqueFd>& descriptors) {
  if (workers_.size() >= kMostWorkers) return absl::ResourceExhaustedError(Cat("there are ", kMostWorkers, " workers"));
  // Decoded here, all workers to come have it.
  if (const auto set = sets_.Get(spawn.set_key, descriptors[3].get(), spawn.set_length, handlers_); !set.ok()) {
    return set.status();
  }
  const WorkerStart start{descriptors[0].get(), descriptors[2].get(), spawn, AddressSpace()};
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid < 0) return absl::ErrnoToStatus(errno, "fork");
  if (pid == 0) RunWorker(start, sandbox_, handlers_, sets_);
  workers_.push_back({pid, UniqueFd(fcntl(descriptors[1].get(), F_DUPFD_CLOEXEC, 0)), false});
  return absl::OkStatus();
}

absl::Status Service::Start(const Received& received) {
  absl::StatusOr<Spawn> spawn = DecodeSpawn(received.message);
  if (!spawn.ok()) return spawn.status();
  if (received.descriptors.size() != kSpawnDescriptors) {
    return absl::InvalidArgumentError(Cat("a worker is wanted with ", received.descriptors.size(), " descriptors"));
  }
  if (absl::Status status = Fork(*spawn, received.descriptors); !status.ok()) {
    // The engine may have turned away meanwhile: then nobody is there to be told.
    SendMessage(received.descriptors[1].get(), Encode(Refused{status.ToString()})).IgnoreError();
  }
  return absl::OkStatus();
}

void Service::Reap() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof info) > 0) {
  }
  int status = 0;
  rusage usage{};
  for (pid_t pid; (pid = wait4(-1, &status, WNOHANG, &usage)) > 0;) {
    const auto worker = std::find_if(workers_.begin(), workers_.end(), [pid](const Worker& w) { return w.pid == pid; });
    if (worker == workers_.end()) continue;
    const auto us = [](const timeval& time) {
      return static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
    };
    const Exited exited{status, us(usage.ru_utime) + us(usage.ru_stime), static_cast<uint64_t>(usage.ru_maxrss)};
    SendMessage(worker->life.get(), Encode(exited)).IgnoreError();  // as in Start
    workers_.erase(worker);
  }
}

absl::Status Service::Loop() {
  for (;;) {
    std::vector<pollfd> polled = {{control_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
    for (const Worker& worker : workers_) polled.push_back({worker.killed ? -1 : worker.life.get(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return absl::ErrnoToStatus(errno, "poll");
    }
    // The engine says nothing on a life socket: whatever happens there is that it has closed its side.
    for (size_t i = 2; i < polled.size(); ++i) {
      Worker& worker = workers_[i - 2];
      if (polled[i].revents == 0) continue;
      kill(worker.pid, SIGKILL);
      worker.killed = true;
    }
    if (polled[1].revents != 0) Reap();
    if (polled[0].revents == 0) continue;
    absl::StatusOr<Received> received = ReceiveMessage(control_.get(), kSpawnDescriptors, /*wait=*/false);
    if (!received.ok()) return received.status();
    if (received->arrival == Arrival::kClosed) break;
    if (received->arrival == Arrival::kNothing) continue;
    if (absl::Status status = Start(*received); !status.ok()) return status;
  }
  for (const Worker& worker : workers_) kill(worker.pid, SIGKILL);
  while (wait4(-1, nullptr, 0, nullptr) > 0 || errno == EINTR) {
  }
  return absl::OkStatus();
}

int RunService(const ServeOptions& options, Sandbox sandbox, const Handlers& handlers) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (handlers.warm) handlers.warm();
  Service service(UniqueFd(options.control), std::move(sandbox), handlers);
  absl::Status status = service.Begin();
  if (status.ok()) status = service.Loop();
  return status.ok() ? 0 : Complain(status.ToString());
}

/// Where the machine's memory runs out, this and its workers are to go first, the largest of them. Best effort.
void OfferToOomKiller() {
  const UniqueFd score(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  constexpr std::string_view kFirst = "1000";
  if (score.open() && write(score.get(), kFirst.data(), kFirst.size()) < 0) return;
}

pid_t service_pid = -1;  // for the signal handler alone
void EndService(int) { kill(service_pid, SIGKILL); }

}  // namespace

int Serve(const ServeOptions& options, const Handlers& handlers) {
  syscall(SYS_close_range, static_cast<unsigned>(options.control) + 1, ~0U, 0U);
  if (fcntl(options.control, F_SETFD, FD_CLOEXEC) != 0) return Complain("the control socket is not open");
  OfferToOomKiller();
  Sandbox sandbox(options.without);
  sandbox.EnterNamespaces();
  // The service is the first process of its pid namespace; this one stays outside to reap it, and to be waited for.
  const pid_t pid = fork();
  if (pid < 0) return Complain("fork failed");
  if (pid == 0) {
    const int code = RunService(options, std::move(sandbox), handlers);
    std::fflush(nullptr);
    _exit(code);
  }
  service_pid = pid;
  signal(SIGTERM, EndService);
  close(options.control);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

}  // namespace driftseal::replay
