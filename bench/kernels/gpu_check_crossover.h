#ifndef DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_CROSSOVER_H_
#define DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_CROSSOVER_H_

#include <string>

#include "gpu_check_ensemble.h"
#include "kernels/device/crossover.h"

namespace driftseal::kernels::gpu_check {

/// The CPU's side of the crossover: scores the first `rows` of `source` with all members, on all cores. Empty where
/// this program was built without Highway (gpu_check_no_simd.cpp).
device::ScoreBatch ScoreOnCpu(const Models& models, const float* source);

}  // namespace driftseal::kernels::gpu_check

#endif  // DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_CROSSOVER_H_
