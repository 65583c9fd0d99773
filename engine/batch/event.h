#ifndef DRIFTSEAL_ENGINE_BATCH_EVENT_H_
#define DRIFTSEAL_ENGINE_BATCH_EVENT_H_

#include <atomic>
#include <cstdint>

#include "engine/batch/batcher.h"

namespace driftseal::batch {

/// Something that happens once between two Resets. One thread waits; any may set it. No lock is held by any of them at
/// any time, so that a thread which the scheduler has put aside in the middle of Set keeps nobody from anything.
class Event {
 public:
  void Set();
  void Reset() { happened_.store(0, std::memory_order_relaxed); }
  /// Whether it happened before `end`.
  bool WaitUntil(Clock::time_point end);

 private:
  std::atomic<uint32_t> happened_{0};
};

}  // namespace driftseal::batch

#endif  // DRIFTSEAL_ENGINE_BATCH_EVENT_H_
