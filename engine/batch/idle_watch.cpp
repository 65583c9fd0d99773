#include "engine/batch/idle_watch.h"

#include <pthread.h>
#include <sched.h>

namespace driftseal::batch {

IdleWatch::IdleWatch(Event& idle) : idle_(idle), thread_([this] { Watch(); }) {}

IdleWatch::~IdleWatch() {
  state_ = kStop;
  state_.notify_one();
  thread_.join();
}

void IdleWatch::Arm() {
  state_ = kArmed;
  state_.notify_one();
}

void IdleWatch::Watch() {
  // Where this is refused, cores seem idle at once and batches are smaller.
  const sched_param parameters{};
  pthread_setschedparam(pthread_self(), SCHED_IDLE, &parameters);
  for (;;) {
    state_.wait(kAsleep);
    int armed = kArmed;
    if (!state_.compare_exchange_strong(armed, kAsleep) && armed == kStop) return;
    idle_.Set();
  }
}

}  // namespace driftseal::batch
