#ifndef DRIFTSEAL_ENGINE_BATCH_IDLE_WATCH_H_
#define DRIFTSEAL_ENGINE_BATCH_IDLE_WATCH_H_

#include <atomic>
#include <thread>

#include "engine/batch/event.h"

namespace driftseal::batch {

/// Tells when a core has nothing to do: a thread of the lowest scheduling class (SCHED_IDLE), which runs only then.
/// While all cores are busy taking in requests, waiting for more rows costs nobody anything; from then on it does.
class IdleWatch {
 public:
  /// `idle` is set once after each Arm.
  explicit IdleWatch(Event& idle);
  ~IdleWatch();
  void Arm();

 private:
  enum : int { kAsleep, kArmed, kStop };
  void Watch();

  Event& idle_;
  std::atomic<int> state_{kAsleep};
  std::thread thread_;
};

}  // namespace driftseal::batch

#endif  // DRIFTSEAL_ENGINE_BATCH_IDLE_WATCH_H_
