#ifndef DRIFTSEAL_ENGINE_SERVE_VERIFY_POOL_H_
#define DRIFTSEAL_ENGINE_SERVE_VERIFY_POOL_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/batch/batcher.h"

namespace driftseal::serve {

/// Threads that read files, and the bounded queue in front of them. Clients take turns; of one client's jobs the one of
/// higher priority goes first, but lower ones get a share (16 : 4 : 1). Safe to share between threads.
class VerifyPool {
 public:
  using Clock = std::chrono::steady_clock;
  using Ticket = uint64_t;

  struct Job {
    std::string client;  ///< Whose share of the queue it takes.
    batch::Priority priority = batch::Priority::kNormal;
    Clock::time_point deadline = Clock::time_point::max();
    /// Called exactly once, on a thread of the pool, unless Cancel took the job back. OK: do the work now;
    /// DeadlineExceeded: its deadline passed while it waited; Unavailable: the pool is closing.
    std::function<void(absl::Status)> run;
  };

  /// `threads` 0: all cores. At most `queue` jobs wait.
  VerifyPool(size_t threads, size_t queue);
  ~VerifyPool();  ///< Jobs that wait are answered as Unavailable; those that run are waited for.

  /// ResourceExhausted (details: Overload, RetryInfo) where the queue or the client's share of it is full. A client may
  /// have as many jobs waiting as there is room left (Choudhury and Hahne 1998), so that one that floods leaves room
  /// for others.
  absl::StatusOr<Ticket> Submit(Job job);
  /// True: the job was waiting and will not run. False: it runs or ran.
  bool Cancel(Ticket ticket);
  /// Calls `then` once, when a job leaves the queue, on the thread that takes it out; at once where none waits. For
  /// callers that wait where Submit refused them.
  void WhenRoom(std::function<void()> then);

  struct Load {
    size_t waiting = 0, running = 0, threads = 0, limit = 0;
    uint64_t accepted = 0, refused = 0, cancelled = 0, expired = 0, done = 0;
    std::chrono::nanoseconds wait{0};  ///< Until what waits now will have begun, at the rate of late.
  };
  Load load() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_VERIFY_POOL_H_
