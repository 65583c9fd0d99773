#include "engine/batch/event.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace driftseal::batch {
namespace {

uint32_t* WordOf(std::atomic<uint32_t>& word) {
  static_assert(sizeof(word) == sizeof(uint32_t));
  return reinterpret_cast<uint32_t*>(&word);
}

}  // namespace

void Event::Set() {
  if (happened_.exchange(1) == 0) syscall(SYS_futex, WordOf(happened_), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

bool Event::WaitUntil(Clock::time_point end) {
  // FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock, which is what steady_clock is.
  const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(end.time_since_epoch()).count();
  const timespec until{static_cast<time_t>(since / 1'000'000'000), static_cast<long>(since % 1'000'000'000)};
  while (happened_.load() == 0 && Clock::now() < end) {
    syscall(SYS_futex, WordOf(happened_), FUTEX_WAIT_BITSET_PRIVATE, 0, &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  }
  return happened_.load() != 0;
}

}  // namespace driftseal::batch
