#ifndef DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_PARITY_H_
#define DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_PARITY_H_

#include <string>
#include <vector>

#include "kernels/device/cuda_api.h"

namespace driftseal::kernels::gpu_check {

/// One variant through its kernel's body of checks.
struct ParityResult {
  std::string name;
  size_t cases = 0, forced = 0, rows = 0;  ///< forced: detectors that the variant served, as the module says.
  double largest = 0;                      ///< The largest error, as a share of the bound.
  std::vector<std::string> failures;
  bool passed() const { return failures.empty() && forced > 0; }
};

/// Every variant of every kernel, the ensemble from host and device memory, and grouped calls. `small`: only what
/// compute-sanitizer can take in a minute. `only`: of the kernel of that name ("fit", "ensemble"); empty: all.
std::vector<ParityResult> CheckParity(const device::CudaApi& api, device::CudaContext* context, bool small,
                                      const std::string& only = "");

}  // namespace driftseal::kernels::gpu_check

#endif  // DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_PARITY_H_
