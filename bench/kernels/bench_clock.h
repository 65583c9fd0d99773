#ifndef DRIFTSEAL_BENCH_KERNELS_BENCH_CLOCK_H_
#define DRIFTSEAL_BENCH_KERNELS_BENCH_CLOCK_H_

#include <ctime>

namespace driftseal::kernels::bench {

/// On the wall, and of the processors for all threads of this process: other work on the machine changes the first
/// more than the second.
struct Seconds {
  double wall = 0, cpu = 0;
};

/// Runs from its making.
class Clock {
 public:
  Seconds Read() const { return {Now(CLOCK_MONOTONIC) - wall_, Now(CLOCK_PROCESS_CPUTIME_ID) - cpu_}; }

  static double Now(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
  }

 private:
  double wall_ = Now(CLOCK_MONOTONIC), cpu_ = Now(CLOCK_PROCESS_CPUTIME_ID);
};

}  // namespace driftseal::kernels::bench

#endif  // DRIFTSEAL_BENCH_KERNELS_BENCH_CLOCK_H_
