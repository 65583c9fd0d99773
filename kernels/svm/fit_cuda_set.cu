#include <cub/device/device_radix_sort.cuh>
#include <limits>

#include "kernels/device/group.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/mma.cuh"
#include "kernels/svm/fit_cuda.cuh"
#include "kernels/svm/fit_simd.h"

// Choosing a working set and optimising it.
namespace driftseal::kernels::svm {
namespace {

constexpr uint32_t kThreads = 256;
constexpr uint32_t kOneBlock = 1024, kWarps = kOneBlock / 32;  // where one block of threads does it all
constexpr uint32_t kAll = 0xffffffffU, kNone = 0xffffffffU;
constexpr uint64_t kMostSteps = 100'000;  // of a launch: some 0.2 s, less than any watchdog's limit

__device__ double Infinity() { return __longlong_as_double(0x7ff0000000000000LL); }

__global__ void Keys(CudaFitState state) {
  const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= state.rows) return;
  state.up_key[row] = state.alpha[row] < 1 ? state.gradient[row] : Infinity();
  state.down_key[row] = state.alpha[row] > 0 ? state.gradient[row] : -Infinity();
  state.index[row] = row;
  state.position[row] = kNone;
}

/// Numbers the threads for which `take` holds, in order, from `base` on; returns this one's and moves `base` on. All
/// threads of the block call it.
__device__ uint32_t Number(bool take, uint32_t& base) {
  __shared__ uint32_t counts[kWarps];
  const uint32_t warp = threadIdx.x / 32, ballot = __ballot_sync(kAll, take);
  if (threadIdx.x % 32 == 0) counts[warp] = static_cast<uint32_t>(__popc(ballot));
  __syncthreads();
  uint32_t number = base + static_cast<uint32_t>(__popc(ballot & ((1U << threadIdx.x % 32) - 1)));
  for (uint32_t w = 0; w < kWarps; ++w) {
    if (w < warp) number += counts[w];
    base += counts[w];
  }
  __syncthreads();
  return number;
}

/// Takes rows from the two orders in turn, each row once. A row's place is the first at which it stands in
/// up[0], down[0], up[1], down[1], ...
__global__ void __launch_bounds__(kOneBlock)
    Interleave(CudaFitState state, uint32_t working_set, uint32_t* set, CudaFitReport* report) {
  const uint32_t most = min(working_set, state.rows);
  for (uint32_t r = threadIdx.x; r < most; r += kOneBlock) {
    if (state.up_sorted[r] < Infinity()) state.position[state.up_order[r]] = 2 * r;
  }
  __syncthreads();
  for (uint32_t r = threadIdx.x; r < most; r += kOneBlock) {
    if (state.down_sorted[r] > -Infinity()) atomicMin(&state.position[state.down_order[r]], 2 * r + 1);
  }
  __syncthreads();
  uint32_t size = 0;
  for (uint32_t first = 0; first < 2 * most; first += kOneBlock) {
    const uint32_t place = first + threadIdx.x;
    uint32_t row = 0;
    bool take = false;
    if (place < 2 * most) {
      const bool up = place % 2 == 0;
      row = up ? state.up_order[place / 2] : state.down_order[place / 2];
      take = state.position[row] == place;  // kNone, or another place, where it is not this one's
    }
    const uint32_t number = Number(take, size);
    if (take && number < working_set) set[number] = row;
  }
  if (threadIdx.x > 0) return;
  report->up = state.up_sorted[0];
  report->down = state.down_sorted[0];
  report->set_size = min(size, working_set);
}

struct Best {
  double value;
  uint32_t at;
};
/// The larger value, and of equal ones the first row.
__device__ Best Better(Best a, Best b) { return b.value > a.value || (b.value == a.value && b.at < a.at) ? b : a; }

__device__ Best WarpBest(Best best) {
  for (int step = 16; step > 0; step /= 2) {
    const Best other{__shfl_xor_sync(kAll, best.value, step), __shfl_xor_sync(kAll, best.at, step)};
    best = Better(best, other);
  }
  return best;
}

/// Over the block, with one barrier: the next use of the same `parts` must lie behind another one.
__device__ Best BlockBest(Best best, Best (&parts)[kWarps]) {
  best = WarpBest(best);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = best;
  __syncthreads();
  return WarpBest(parts[threadIdx.x % 32]);
}

/// α and G of a working set in shared memory; each thread has the rows threadIdx.x, threadIdx.x + 1024, ...
struct SmoBlock {
  const CudaFitProblem& problem;
  double *alpha, *gradient;

  __device__ Best Up() const {
    Best best{-Infinity(), kNone};
    for (uint32_t t = threadIdx.x; t < problem.rows; t += kOneBlock) {
      if (alpha[t] < 1) best = Better(best, {-gradient[t], t});
    }
    return best;
  }
  __device__ Best Down() const {
    Best best{-Infinity(), kNone};
    for (uint32_t t = threadIdx.x; t < problem.rows; t += kOneBlock) {
      if (alpha[t] > 0) best = Better(best, {gradient[t], t});
    }
    return best;
  }
  /// The partner that lowers the objective most (Fan, Chen, Lin 2005, WSS 2); Q_ii = Q_jj = 1.
  __device__ Best Second(uint32_t i) const {
    const float* qi = problem.matrix + static_cast<size_t>(i) * problem.stride;
    Best best{0, kNone};
    for (uint32_t t = threadIdx.x; t < problem.rows; t += kOneBlock) {
      const double violation = gradient[t] - gradient[i];
      if (!(alpha[t] > 0 && violation > 0)) continue;
      const double curvature = fmax(2 - 2 * static_cast<double>(qi[t]), kLeastCurvature);
      best = Better(best, {violation * violation / curvature, t});
    }
    return best;
  }
  /// Moves α from j to i.
  __device__ void Step(uint32_t i, uint32_t j) {
    const float* qi = problem.matrix + static_cast<size_t>(i) * problem.stride;
    const float* qj = problem.matrix + static_cast<size_t>(j) * problem.stride;
    const double curvature = fmax(2 - 2 * static_cast<double>(qi[j]), kLeastCurvature);
    const double above = 1 - alpha[i], below = alpha[j];
    const double step = fmin((gradient[j] - gradient[i]) / curvature, fmin(above, below));
    __syncthreads();  // all have read them
    if (threadIdx.x == i % kOneBlock) alpha[i] = step == above ? 1 : alpha[i] + step;
    if (threadIdx.x == j % kOneBlock) alpha[j] = step == below ? 0 : alpha[j] - step;
    for (uint32_t t = threadIdx.x; t < problem.rows; t += kOneBlock) {
      gradient[t] += step * static_cast<double>(qi[t] - qj[t]);
    }
  }
};

/// Rows whose α is not what it was, in the order of the set.
__device__ uint32_t WriteChanges(const CudaFitState& state, const CudaFitProblem& problem, const double* alpha,
                                 uint32_t* chosen, double* weights) {
  uint32_t changed = 0;
  for (uint32_t first = 0; first < problem.rows; first += kOneBlock) {
    const uint32_t t = first + threadIdx.x;
    const bool there = t < problem.rows;
    const uint32_t row = there ? problem.set[t] : 0;
    const double change = there ? alpha[t] - state.alpha[row] : 0;
    const bool take = there && alpha[t] != state.alpha[row];
    const uint32_t number = Number(take, changed);
    if (!take) continue;
    chosen[number] = row;
    weights[number] = change;
    state.alpha[row] = alpha[t];
  }
  return changed;
}

__global__ void __launch_bounds__(kOneBlock)
    Smo(CudaFitState state, CudaFitProblem problem, uint32_t* chosen, double* weights, CudaFitReport* report) {
  __shared__ Best up_parts[kWarps], down_parts[kWarps], second_parts[kWarps];
  double* alpha = reinterpret_cast<double*>(device::DynamicShared());
  SmoBlock block{problem, alpha, alpha + problem.rows};
  for (uint32_t t = threadIdx.x; t < problem.rows; t += kOneBlock) {
    block.alpha[t] = state.alpha[problem.set[t]];
    block.gradient[t] = state.gradient[problem.set[t]];
  }
  uint64_t steps = 0;
  for (; steps < problem.limit; ++steps) {
    const Best up = BlockBest(block.Up(), up_parts), down = BlockBest(block.Down(), down_parts);
    if (!(down.value + up.value > problem.tolerance)) break;  // the same for every thread
    const Best second = BlockBest(block.Second(up.at), second_parts);
    block.Step(up.at, second.at);
  }
  __syncthreads();
  const uint32_t changed = WriteChanges(state, problem, alpha, chosen, weights);
  if (threadIdx.x > 0) return;
  report->steps = steps;
  report->changed = changed;
}

}  // namespace

size_t CudaFitSelectScratch(uint32_t rows) {
  size_t bytes = 0;
  const double* keys = nullptr;
  double* sorted = nullptr;
  const uint32_t* values = nullptr;
  uint32_t* order = nullptr;
  (void)cub::DeviceRadixSort::SortPairs(nullptr, bytes, keys, sorted, values, order, rows);
  return bytes;
}

cudaError_t CudaFitSelect(const CudaFitState& state, uint32_t working_set, uint32_t* set, CudaFitReport* report,
                          void* scratch, size_t scratch_bytes, cudaStream_t stream) {
  const uint32_t rows = state.rows;
  DRIFTSEAL_CUDA_TRY(device::Run(Keys, (rows + kThreads - 1) / kThreads, kThreads, 0, stream, state));
  // Stable, so of equal gradients the first row comes first.
  DRIFTSEAL_CUDA_TRY(cub::DeviceRadixSort::SortPairs(scratch, scratch_bytes, state.up_key, state.up_sorted, state.index,
                                                     state.up_order, rows, 0, 64, stream));
  DRIFTSEAL_CUDA_TRY(cub::DeviceRadixSort::SortPairsDescending(
      scratch, scratch_bytes, state.down_key, state.down_sorted, state.index, state.down_order, rows, 0, 64, stream));
  return device::Run(Interleave, 1, kOneBlock, 0, stream, state, working_set, set, report);
}

cudaError_t CudaFitSolve(const CudaFitState& state, const CudaFitProblem& problem, uint32_t* chosen, double* weights,
                         CudaFitReport* report, cudaStream_t stream) {
  CudaFitProblem limited = problem;
  limited.limit = problem.limit < kMostSteps ? problem.limit : kMostSteps;
  return device::Run(Smo, 1, kOneBlock, 2 * sizeof(double) * problem.rows, stream, state, limited, chosen, weights,
                     report);
}

}  // namespace driftseal::kernels::svm
