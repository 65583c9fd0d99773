#ifndef DRIFTSEAL_BENCH_KERNELS_BENCH_LIMITS_H_
#define DRIFTSEAL_BENCH_KERNELS_BENCH_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/device/isa.h"

// What this machine can do at most, measured: the limits that the kernels' READMEs reckon with.
namespace driftseal::kernels::bench {

/// One kind of work that a thread repeats. `work` is in the unit of `name`.
struct Limit {
  std::string_view name;  ///< "fma", "gather", "load_l1", "load_l2", "select", "byte_dot", "copy"
  std::string_view
      unit;             ///< What is counted: "FMA" (one multiply and add of float32), "float", "byte", "bit", "product"
  size_t buffer_bytes;  ///< Of each of the two buffers that a thread works on; 0 for work in registers.
  /// Does the work `rounds` times on buffers of `buffer_bytes`, and stores the amount done. Returns the target it was
  /// compiled for.
  int64_t (*run)(size_t rounds, float* from, float* to, double* work);
};

/// The limits as compiled for `isa`.
std::span<const Limit> LimitsFor(const device::Isa& isa);

struct Rate {
  double per_second = 0;      ///< Of all threads together, by the clock on the wall.
  double per_cpu_second = 0;  ///< Of one second of processor time.
  int64_t target = 0;
};
/// Runs `limit` on `threads` threads for about `seconds`.
Rate MeasureLimit(const Limit& limit, size_t threads, double seconds);

}  // namespace driftseal::kernels::bench

#endif  // DRIFTSEAL_BENCH_KERNELS_BENCH_LIMITS_H_
