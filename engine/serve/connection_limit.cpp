#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <unordered_map>

#include "engine/serve/acceptor.h"

namespace driftseal::serve {
namespace {

using Clock = std::chrono::steady_clock;

// Descriptors for everything that is no connection: files being verified, the store, pollers.
constexpr size_t kOtherDescriptors = 256;

// As many descriptors as the system lets this process have.
size_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kOtherDescriptors * 2;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : static_cast<size_t>(limit.rlim_cur);
}

// 0: no open socket.
ino_t SocketInode(int fd) {
  struct stat info {};
  return fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode) ? info.st_ino : 0;
}

}  // namespace

struct ConnectionLimit::State {
  size_t limit = 0;
  std::atomic<uint64_t> refused{0};
  mutable std::mutex mutex;
  mutable std::unordered_map<int, ino_t> sockets;  // By descriptor; some may be closed by now.
  Clock::time_point next_sweep;

  void Sweep() const {
    std::erase_if(sockets, [](const auto& entry) { return SocketInode(entry.first) != entry.second; });
  }
};

ConnectionLimit::ConnectionLimit(size_t limit) : state_(std::make_unique<State>()) {
  const size_t descriptors = RaiseDescriptorLimit();
  const size_t possible = descriptors > 2 * kOtherDescriptors ? descriptors - kOtherDescriptors : descriptors / 2;
  state_->limit = std::min(limit, possible);
}

ConnectionLimit::~ConnectionLimit() = default;

bool ConnectionLimit::Admit(int fd) {
  const ino_t inode = SocketInode(fd);
  const std::lock_guard lock(state_->mutex);
  // The kernel gives the lowest free descriptor: whatever had this one is closed.
  state_->sockets.erase(fd);
  if (state_->sockets.size() >= state_->limit) {
    // Looking at all of them takes at most a tenth of the time, however many knock in vain.
    if (const Clock::time_point begin = Clock::now(); begin >= state_->next_sweep) {
      state_->Sweep();
      const Clock::time_point end = Clock::now();
      state_->next_sweep = end + 9 * (end - begin);
    }
  }
  if (state_->sockets.size() >= state_->limit) {
    CountRefused();
    return false;
  }
  state_->sockets.emplace(fd, inode);
  return true;
}

size_t ConnectionLimit::limit() const { return state_->limit; }

size_t ConnectionLimit::open() const {
  const std::lock_guard lock(state_->mutex);
  state_->Sweep();
  return state_->sockets.size();
}

uint64_t ConnectionLimit::refused() const { return state_->refused.load(std::memory_order_relaxed); }

void ConnectionLimit::CountRefused() { state_->refused.fetch_add(1, std::memory_order_relaxed); }

}  // namespace driftseal::serve
