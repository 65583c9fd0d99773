#include <cmath>

#include "kernels/device/mma.cuh"
#include "kernels/device/tensor.cuh"
#include "kernels/neighbours/cuda.cuh"

namespace driftseal::kernels::neighbours {
namespace {

using device::Group;
using device::Tensor;

constexpr uint32_t kAll = 0xffffffffU;
constexpr uint32_t kRefineWarps = 8;
constexpr uint32_t kLanesPerRow = 8;  // That add up one distance: four at once a warp

/// Least keys ‖s'‖²/2 − x'·s' of 8 reference rows, for every row: which groups may hold a neighbour.
struct GroupMinima {
  float* minima;  ///< This group's rows × groups.
  uint32_t groups, first_row, count;
  float least[Tensor::kRowTiles][2];

  __device__ void Reset() {
    for (auto& row : least) row[0] = row[1] = INFINITY;
  }
  __device__ void Eight(int n, const Tensor::Sums& sums, const float* half_norms) {
    const float2 h = *reinterpret_cast<const float2*>(half_norms + threadIdx.x % 4 * 2);
#pragma unroll
    for (int m = 0; m < Tensor::kRowTiles; ++m) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float low = h.x - sums[m][2 * r], high = h.y - sums[m][2 * r + 1];
        // fminf drops NaN (a row beyond fp16): Refine looks at such a row's norm and takes every group.
        least[m][r] = fminf(least[m][r], fminf(low, high));
      }
    }
    if (n == 3) Keep(first);
    if (n == 7) Keep(second);
  }
  __device__ void Tile(uint32_t tile) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int m = 0; m < Tensor::kRowTiles; ++m) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const uint32_t row = first_row + m * 16 + lane / 4 + r * 8;
        if (row >= count) continue;
        float* target = minima + static_cast<size_t>(row) * groups + tile * kTileGroups + lane % 4;
        target[0] = first[m][r];
        target[4] = second[m][r];
      }
    }
  }

 private:
  __device__ void Keep(float (&kept)[Tensor::kRowTiles][2]) {
#pragma unroll
    for (int m = 0; m < Tensor::kRowTiles; ++m) {
      kept[m][0] = least[m][0];
      kept[m][1] = least[m][1];
      least[m][0] = least[m][1] = INFINITY;
    }
  }
  float first[Tensor::kRowTiles][2], second[Tensor::kRowTiles][2];
};

/// Rows' norms ‖x'‖, then rows × groups least keys.
__device__ float* Norms(const Group& group) { return static_cast<float*>(group.scratch); }
__device__ float* Minima(const Group& group) {
  return Norms(group) + static_cast<size_t>((group.count + Tensor::kRows - 1) / Tensor::kRows) * Tensor::kRows;
}

template <int kSteps, bool kWide>
__global__ void __launch_bounds__(Tensor::kThreads, kWide ? 1 : 2) Filter(const Group* groups, uint32_t count) {
  const Group& group = device::FindGroup(groups, count, blockIdx.x);
  const CudaModel& model = *static_cast<const CudaModel*>(group.model);
  const uint32_t tile_row = (blockIdx.x - group.first_tile) * Tensor::kRows;
  if (tile_row >= group.count) return;
  const uint32_t first_row = tile_row + threadIdx.x / 32 * 32, lane = threadIdx.x % 32;
  const device::ScaledRows rows{group.rows, model.tensor.centre, model.tensor.scale, group.count, model.tensor.cols};
  GroupMinima fold;
  fold.minima = Minima(group);
  fold.groups = model.groups;
  fold.first_row = first_row;
  fold.count = group.count;
  fold.Reset();
  float squared[Tensor::kRowTiles][2] = {};
  device::PassVectors<kSteps, kWide>(model.tensor, rows, first_row, squared, fold);
#pragma unroll
  for (int m = 0; m < Tensor::kRowTiles; ++m) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float norm = sqrtf(device::QuadSum(squared[m][r]));
      const uint32_t row = first_row + m * 16 + lane / 4 + r * 8;
      if (lane % 4 == 0 && row < group.count) Norms(group)[row] = norm;
    }
  }
}

/// The k least of what a warp has seen, in no order, and where the largest of them stands.
struct Nearest {
  double* values;  ///< k, in shared memory.
  uint32_t k, at = 0;
  double largest = INFINITY;

  __device__ Nearest(double* memory, uint32_t size) : values(memory), k(size) {
    for (uint32_t i = threadIdx.x % 32; i < k; i += 32) values[i] = INFINITY;
    __syncwarp();
  }
  /// All lanes call it with the same value.
  __device__ void Insert(double value) {
    if (!(value < largest)) return;
    if (threadIdx.x % 32 == 0) values[at] = value;
    __syncwarp();
    double most = -1;
    uint32_t where = 0;
    for (uint32_t i = threadIdx.x % 32; i < k; i += 32) {
      if (values[i] > most) {
        most = values[i];
        where = i;
      }
    }
    for (int step = 16; step > 0; step /= 2) {
      const double other = __shfl_xor_sync(kAll, most, step);
      const uint32_t place = __shfl_xor_sync(kAll, where, step);
      // Ties are broken alike in all lanes, or they would not agree.
      if (other > most || (other == most && place < where)) {
        most = other;
        where = place;
      }
    }
    largest = most;
    at = where;
    __syncwarp();
  }
};

/// A number that at least k of the row's least keys do not exceed; +∞ where none is found cheaply.
__device__ float Threshold(const float* minima, uint32_t groups, uint32_t k) {
  const uint32_t lane = threadIdx.x % 32;
  if (k > 32) {
    // Bisection on the bits of floats, the upper 20: an upper bound is enough. Keys are ordered as integers once the
    // negative ones are turned round.
    uint32_t bound = 0xffffffffU;
    for (uint32_t bit = 1U << 31; bit >= 1U << 12; bit >>= 1) {
      const uint32_t tried = bound & ~bit;
      uint32_t below = 0;
      for (uint32_t i = lane; i < groups; i += 32) {
        const uint32_t bits = __float_as_uint(minima[i]);
        below += ((bits >> 31) != 0 ? ~bits : bits | 1U << 31) <= tried ? 1 : 0;
      }
      for (int step = 16; step > 0; step /= 2) below += __shfl_xor_sync(kAll, below, step);
      if (below >= k) bound = tried;
    }
    const float value = __uint_as_float((bound >> 31) != 0 ? bound & ~(1U << 31) : ~bound);
    return isnan(value) ? INFINITY : value;  // The twelve bits left out turn infinity into NaN.
  }
  float least = INFINITY;
  for (uint32_t i = lane; i < groups; i += 32) least = fminf(least, minima[i]);
  uint32_t rank = 0;
  for (uint32_t i = 0; i < 32; ++i) {
    const float other = __shfl_sync(kAll, least, static_cast<int>(i));
    rank += other < least || (other == least && i < lane) ? 1 : 0;
  }
  const uint32_t holder = __ballot_sync(kAll, rank + 1 == k);
  return __shfl_sync(kAll, least, __ffs(static_cast<int>(holder)) - 1);
}

/// Adds reference rows at(0), at(1), at(2), at(3) to the nearest; beyond the model's rows there is none.
template <class At>
__device__ void AddFour(const CudaModel& model, const float* row, const At& at, Nearest* nearest) {
  const uint32_t lane = threadIdx.x % 32, which = at(lane / kLanesPerRow);
  double sum = 0;
  if (which < model.rows) {
    const float* reference = model.exact + static_cast<size_t>(which) * model.cols;
    for (uint32_t k = lane % kLanesPerRow; k < model.cols; k += kLanesPerRow) {
      const double difference = row[k] - reference[k];
      sum = fma(difference, difference, sum);
    }
  }
  for (int step = kLanesPerRow / 2; step > 0; step /= 2) sum += __shfl_xor_sync(kAll, sum, step);
  if (which >= model.rows) sum = INFINITY;
  if (__ballot_sync(kAll, sum < nearest->largest) == 0) return;
  for (uint32_t i = 0; i < 32; i += kLanesPerRow) nearest->Insert(__shfl_sync(kAll, sum, static_cast<int>(i)));
}

/// Reference rows of one of the filter's groups: those of one lane (mod 4) in four times 8 vectors.
__device__ void AddGroup(const CudaModel& model, const float* row, uint32_t group, Nearest* nearest) {
  const uint32_t tile = group / kTileGroups, half = group / 4 % 2, t = group % 4;
  for (uint32_t pair = 0; pair < 2; ++pair) {
    AddFour(
        model, row, [&](uint32_t i) { return tile * 64 + half * 32 + (pair * 2 + i / 2) * 8 + 2 * t + i % 2; },
        nearest);
  }
}

/// A warp a row: exact distances of the groups that the filter leaves, or of all.
template <bool kFiltered>
__global__ void __launch_bounds__(kRefineWarps * 32, 4) Refine(const Group* groups, uint32_t count, uint32_t most_k) {
  const Group& group = device::FindGroup(groups, count, blockIdx.x / (Tensor::kRows / kRefineWarps));
  const CudaModel& model = *static_cast<const CudaModel*>(group.model);
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const uint32_t at = blockIdx.x * kRefineWarps + warp - group.first_tile * Tensor::kRows;
  if (at >= group.count) return;
  Nearest nearest(reinterpret_cast<double*>(device::DynamicShared()) + warp * most_k, model.k);
  const float* row = group.rows + static_cast<size_t>(at) * model.cols;
  bool all = !kFiltered;
  if constexpr (kFiltered) {
    const float norm = Norms(group)[at];
    const float* minima = Minima(group) + static_cast<size_t>(at) * model.groups;
    // Beyond this a scaled value may leave fp16, and a NaN among the keys would hide a neighbour.
    all = !(norm < 16384.0F);
    if (!all) {
      // Keys that differ by less than twice their error may be in either order.
      const float error = model.product_error * norm * model.largest_norm +
                          model.absolute_error * (norm + model.largest_norm) +
                          1.2e-7F * (model.largest_norm * model.largest_norm + norm * model.largest_norm);
      const float limit = Threshold(minima, model.groups, model.k) + 2 * error;
      for (uint32_t first = 0; first < model.groups; first += 32) {
        const bool candidate = first + lane < model.groups && minima[first + lane] <= limit;
        for (uint32_t left = __ballot_sync(kAll, candidate); left != 0; left &= left - 1) {
          AddGroup(model, row, first + static_cast<uint32_t>(__ffs(static_cast<int>(left))) - 1, &nearest);
        }
      }
    }
  }
  for (uint32_t first = 0; all && first < model.rows; first += 4) {
    AddFour(
        model, row, [&](uint32_t i) { return first + i; }, &nearest);
  }
  double sum = 0;
  float finite = 0;
  for (uint32_t i = lane; i < model.k; i += 32) sum += sqrt(nearest.values[i]);
  for (uint32_t k = lane; k < model.cols; k += 32) finite += row[k] * 0.0F;
  for (int step = 16; step > 0; step /= 2) {
    sum += __shfl_xor_sync(kAll, sum, step);
    finite += __shfl_xor_sync(kAll, finite, step);
  }
  const double score = model.kth ? sqrt(nearest.largest) : sum / model.k;
  if (lane == 0) group.out[at] = static_cast<float>(score) + finite;
}

}  // namespace

cudaError_t CudaLaunch(uint32_t variant, const device::Launch& launch, const device::DeviceLimits&) {
  const uint32_t blocks = launch.tiles * (Tensor::kRows / kRefineWarps);
  const size_t bytes = size_t{kRefineWarps} * launch.parts * sizeof(double);
  const auto filter = [&](auto* kernel, int steps) {
    DRIFTSEAL_CUDA_TRY(device::Run(kernel, launch.tiles, Tensor::kThreads, Tensor::SharedBytes(steps), launch.stream,
                                   launch.groups, launch.count));
    return device::Run(Refine<true>, blocks, kRefineWarps * 32, bytes, launch.stream, launch.groups, launch.count,
                       launch.parts);
  };
  switch (variant) {
    case kFilter64:
      return filter(Filter<4, false>, 4);
    case kFilterWide:
      return filter(Filter<Tensor::kWideSteps, true>, Tensor::kWideSteps);
    case kExact:
      return device::Run(Refine<false>, blocks, kRefineWarps * 32, bytes, launch.stream, launch.groups, launch.count,
                         launch.parts);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace driftseal::kernels::neighbours
