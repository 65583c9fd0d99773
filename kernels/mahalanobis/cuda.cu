#include <cmath>
#include <vector>

#include "kernels/device/mma.cuh"
#include "kernels/device/product.cuh"
#include "kernels/mahalanobis/cuda.cuh"

namespace driftseal::kernels::mahalanobis {
namespace {

using device::Group;
using device::Product;

// Beyond this a square may leave float32's range: such rows are scored again in double.
constexpr float kLargest = 1e15F;

/// d = x − mean of one value; 0 outside the matrix.
struct Centred {
  const Group& group;
  const CudaModel& model;
  __device__ float operator()(uint32_t row, uint32_t k) const {
    if (row >= group.count) return 0;
    return (group.rows[static_cast<size_t>(row) * model.cols + k] - model.mean_high[k]) - model.mean_low[k];
  }
};

/// One row in double, by a warp: for the few that leave float32's range.
__device__ double WarpScore(const Group& group, const CudaModel& model, uint32_t row) {
  const uint32_t lane = threadIdx.x % 32;
  const float* x = group.rows + static_cast<size_t>(row) * model.cols;
  const auto difference = [&](uint32_t k) {
    return (static_cast<double>(x[k]) - model.mean_high[k]) - model.mean_low[k];
  };
  double sum = 0;
  for (uint32_t k = lane; k < model.cols; k += 32) sum += model.isotropic * difference(k) * difference(k);
  for (uint32_t j = lane; j < model.tiles * Product::kColumns; j += 32) {
    const float* direction = model.blocks + static_cast<size_t>(j / 64) * model.cols * 64 + j % 64;
    double projection = 0;
    for (uint32_t k = 0; k < model.cols; ++k) projection += difference(k) * direction[static_cast<size_t>(k) * 64];
    sum += model.weights[j] * projection * projection;
  }
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, step);
  return sum;
}

/// 128 rows a block.
__global__ void __launch_bounds__(Product::kThreads, 2) Score(const Group* groups, uint32_t count) {
  const Group& group = device::FindGroup(groups, count, blockIdx.x);
  const CudaModel& model = *static_cast<const CudaModel*>(group.model);
  const uint32_t first_row = (blockIdx.x - group.first_tile) * Product::kRows;
  if (first_row >= group.count) return;
  float* shared = reinterpret_cast<float*>(device::DynamicShared());
  float* squared = shared + Product::kSharedFloats;
  float* finite = squared + Product::kRows;
  float* largest = finite + Product::kRows;
  const Centred centred{group, model};
  for (uint32_t row = threadIdx.x / 32; row < Product::kRows; row += Product::kThreads / 32) {
    const uint32_t at = min(first_row + row, group.count - 1);
    const auto facts =
        device::WarpRowFacts([&](uint32_t k) { return group.rows[static_cast<size_t>(at) * model.cols + k]; },
                             [&](uint32_t k) { return centred(at, k); }, model.cols);
    squared[row] = facts.squared;
    finite[row] = facts.finite;
    largest[row] = facts.largest;
  }
  __syncthreads();
  const auto input = [&](uint32_t row, uint32_t k) { return centred(first_row + row, k); };
  double totals[8] = {};
  for (uint32_t tile = 0; tile < model.tiles; ++tile) {
    Product::Sums sums;
    Product::Run<false>(input, model.blocks + static_cast<size_t>(tile) * model.cols * 64, model.cols, shared, sums);
    const float4 w = *reinterpret_cast<const float4*>(model.weights + tile * 64 + Product::Column());
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      totals[i] += fmaf(w.x * sums[i][0], sums[i][0], w.y * sums[i][1] * sums[i][1]) +
                   fmaf(w.z * sums[i][2], sums[i][2], w.w * sums[i][3] * sums[i][3]);
    }
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    double total = totals[i];
    for (int step = 8; step > 0; step /= 2) total += __shfl_xor_sync(0xffffffffU, total, step);
    const uint32_t row = Product::Row() + i;
    if (threadIdx.x % 16 != 0 || first_row + row >= group.count) continue;
    const double score = static_cast<double>(model.isotropic) * squared[row] + total;
    group.out[first_row + row] = static_cast<float>(fmax(score, 0.0)) + finite[row];
  }
  __syncthreads();
  for (uint32_t row = threadIdx.x / 32; row < Product::kRows; row += Product::kThreads / 32) {
    if (!(largest[row] > kLargest) || first_row + row >= group.count) continue;
    const double score = WarpScore(group, model, first_row + row);
    // ∞ − ∞ for a finite row: too far away for a double.
    const double clamped = isnan(score) ? INFINITY : fmax(score, 0.0);
    if (threadIdx.x % 32 == 0) group.out[first_row + row] = static_cast<float>(clamped) + finite[row];
  }
}

}  // namespace

const char* CudaVariantName(uint32_t variant) { return variant == kMultiplyAdd ? "fma" : nullptr; }

int CudaUpload(const device::CudaMahalanobis& source, uint64_t cols, int32_t force, const device::DeviceLimits&,
               device::Uploader& uploader, device::Member* member) {
  if (force > static_cast<int32_t>(kMultiplyAdd)) return device::kCudaUnsupported;
  CudaModel model{};
  model.cols = static_cast<uint32_t>(cols);
  model.tiles = static_cast<uint32_t>((source.count + Product::kColumns - 1) / Product::kColumns);
  model.isotropic = static_cast<float>(source.isotropic);
  std::vector<float> high(cols), low(cols), weights(model.tiles * Product::kColumns);
  for (uint64_t c = 0; c < cols; ++c) {
    high[c] = static_cast<float>(source.mean[c]);
    low[c] = static_cast<float>(source.mean[c] - high[c]);
  }
  for (uint64_t j = 0; j < source.count; ++j) weights[j] = static_cast<float>(source.weights[j]);
  model.mean_high = uploader.Copy(high);
  model.mean_low = uploader.Copy(low);
  model.weights = uploader.Copy(weights);
  model.blocks = uploader.Copy(
      device::PackColumns(source.count, cols, [&](uint64_t j, uint64_t c) { return source.directions[j * cols + c]; }));
  member->model = uploader.Copy(&model, 1);
  member->variant = kMultiplyAdd;
  member->tile_rows = Product::kRows;
  return static_cast<int>(uploader.error());
}

cudaError_t CudaLaunch(uint32_t, const device::Launch& launch, const device::DeviceLimits&) {
  constexpr size_t kBytes = (Product::kSharedFloats + 3 * Product::kRows) * sizeof(float);
  return device::Run(Score, launch.tiles, Product::kThreads, kBytes, launch.stream, launch.groups, launch.count);
}

}  // namespace driftseal::kernels::mahalanobis
