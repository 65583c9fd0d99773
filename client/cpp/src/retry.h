#ifndef DRIFTSEAL_CLIENT_CPP_SRC_RETRY_H_
#define DRIFTSEAL_CLIENT_CPP_SRC_RETRY_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "driftseal/options.h"
#include "driftseal/status.h"

namespace driftseal {

/// What a Canceller stops: whatever has hooked itself in.
struct Canceller::State {
  std::mutex mutex;
  std::condition_variable cancelled_now;
  bool cancelled = false;
  uint64_t next_hook = 0;
  std::map<uint64_t, std::function<void()>> hooks;  ///< Called with the mutex held: must not block.
};

namespace internal {

using Clock = std::chrono::system_clock;  // gRPC's deadlines are of this one.

/// Calls `stop` when the canceller is cancelled, or at once where it is already, and never after its own end.
class CancelHook {
 public:
  CancelHook(std::shared_ptr<Canceller::State> state, std::function<void()> stop);
  ~CancelHook();
  CancelHook(const CancelHook&) = delete;
  CancelHook& operator=(const CancelHook&) = delete;

 private:
  std::shared_ptr<Canceller::State> state_;
  uint64_t id_ = 0;
};

bool IsCancelled(const std::shared_ptr<Canceller::State>& state);
/// False where it was cancelled meanwhile.
bool SleepFor(std::chrono::milliseconds delay, const std::shared_ptr<Canceller::State>& state);

/// Tokens that all calls of a client share; see RetryPolicy.
class RetryBudget {
 public:
  explicit RetryBudget(const RetryPolicy& policy) : policy_(policy), tokens_(policy.budget_tokens) {}
  void Succeeded();
  /// Takes a token; whether what failed may be tried again.
  bool Failed();

 private:
  const RetryPolicy policy_;
  std::mutex mutex_;
  double tokens_;
};

/// The waits between the attempts of one call.
class Backoff {
 public:
  explicit Backoff(const RetryPolicy& policy) : policy_(policy) {}
  /// The next wait: full jitter over the exponential bound, on top of the engine's advice.
  std::chrono::milliseconds Next(std::optional<std::chrono::milliseconds> advice);
  void Reset() { failures_ = 0; }
  int failures() const { return failures_; }

 private:
  RetryPolicy policy_;
  int failures_ = 0;
};

/// Whether an error says that the same call may go well later. `idempotent`: doing it twice is doing it once.
bool MayRetry(const Status& status, bool idempotent);

}  // namespace internal
}  // namespace driftseal

#endif  // DRIFTSEAL_CLIENT_CPP_SRC_RETRY_H_
