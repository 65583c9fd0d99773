#include <cmath>

#include "kernels/device/product.cuh"
#include "kernels/svm/cuda.cuh"

namespace driftseal::kernels::svm {
namespace {

using device::Group;
using device::Product;
using device::Tensor;

/// A sum that keeps what it loses (Kahan 1965): a tile's part is added at once.
struct Total {
  float sum = 0, lost = 0;
  __device__ void Add(float part) {
    const float y = part - lost, t = sum + y;
    lost = (t - sum) - y;
    sum = t;
  }
};

/// Folds inner products into Σ_j w_j 2^(x'·s'_j), a lane's four rows.
template <bool kPolynomial>
struct KernelSums {
  Total totals[Tensor::kRowTiles][2];
  float part[Tensor::kRowTiles][2] = {};

  __device__ void Eight(int, const Tensor::Sums& sums, const float* weights) {
    const float2 w = *reinterpret_cast<const float2*>(weights + threadIdx.x % 4 * 2);
#pragma unroll
    for (int m = 0; m < Tensor::kRowTiles; ++m) {
      part[m][0] = fmaf(w.x, device::Exp2Special(sums[m][0]), part[m][0]);
      part[m][0] = fmaf(w.y, device::Exp2Special(sums[m][1]), part[m][0]);
      part[m][1] = fmaf(w.x, device::Exp2Special(sums[m][2]), part[m][1]);
      // With few columns the special function unit (16 a cycle) is the limit: one in four goes to the other pipes.
      const float last = kPolynomial ? device::Exp2Polynomial(sums[m][3]) : device::Exp2Special(sums[m][3]);
      part[m][1] = fmaf(w.y, last, part[m][1]);
    }
  }
  __device__ void Tile(uint32_t) {
#pragma unroll
    for (int m = 0; m < Tensor::kRowTiles; ++m) {
      totals[m][0].Add(part[m][0]);
      totals[m][1].Add(part[m][1]);
      part[m][0] = part[m][1] = 0;
    }
  }
};

/// Writes a warp's 32 scores.
__device__ void StoreScores(const Group& group, const CudaModel& model, uint32_t first_row,
                            const Total (&totals)[Tensor::kRowTiles][2], const float (&squared)[Tensor::kRowTiles][2]) {
  const uint32_t lane = threadIdx.x % 32;
#pragma unroll
  for (int m = 0; m < Tensor::kRowTiles; ++m) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float norm = device::QuadSum(squared[m][r]), sum = device::QuadSum(totals[m][r].sum);
      const uint32_t row = first_row + m * 16 + lane / 4 + r * 8;
      if (lane % 4 != 0 || row >= group.count) continue;
      const bool near = norm <= model.far;  // false for NaN
      float score = static_cast<float>(model.rho - (near ? static_cast<double>(sum) * exp2f(-0.5F * norm) : 0.0));
      // Far, or not finite: the row says which.
      for (uint32_t c = 0; !near && c < group.cols; ++c) {
        score += group.rows[static_cast<size_t>(row) * group.cols + c] * 0.0F;
      }
      group.out[row] = score;
    }
  }
}

/// 256 rows a block. Up to kSteps·16 columns stay in registers; wide rows pass by in chunks of that.
template <int kSteps, bool kWide>
__global__ void __launch_bounds__(Tensor::kThreads, kWide ? 1 : 2) ScoreTensor(const Group* groups, uint32_t count) {
  const Group& group = device::FindGroup(groups, count, blockIdx.x);
  const CudaModel& model = *static_cast<const CudaModel*>(group.model);
  const uint32_t tile_row = (blockIdx.x - group.first_tile) * Tensor::kRows;
  if (tile_row >= group.count) return;
  const uint32_t first_row = tile_row + threadIdx.x / 32 * 32;
  const device::ScaledRows rows{group.rows, model.tensor.centre, model.tensor.scale, group.count, model.tensor.cols};
  KernelSums<(kSteps < 4 && !kWide)> sums;
  float squared[Tensor::kRowTiles][2] = {};
  device::PassVectors<kSteps, kWide>(model.tensor, rows, first_row, squared, sums);
  StoreScores(group, model, first_row, sums.totals, squared);
}

/// float32 on the multiply-add pipes: 128 rows a block.
template <bool kDifferences>
__global__ void __launch_bounds__(Product::kThreads) ScorePlain(const Group* groups, uint32_t count) {
  const Group& group = device::FindGroup(groups, count, blockIdx.x);
  const CudaModel& model = *static_cast<const CudaModel*>(group.model);
  const uint32_t first_row = (blockIdx.x - group.first_tile) * Product::kRows;
  if (first_row >= group.count) return;
  float* shared = reinterpret_cast<float*>(device::DynamicShared());
  float* norms = shared + Product::kSharedFloats;
  float* finite = norms + Product::kRows;
  const device::ScaledRows rows{group.rows, model.tensor.centre, model.tensor.scale, group.count, model.tensor.cols};
  for (uint32_t row = threadIdx.x / 32; row < Product::kRows; row += Product::kThreads / 32) {
    const uint32_t at = min(first_row + row, group.count - 1);
    const auto facts =
        device::WarpRowFacts([&](uint32_t k) { return group.rows[static_cast<size_t>(at) * model.tensor.cols + k]; },
                             [&](uint32_t k) { return rows(at, k); }, model.tensor.cols);
    norms[row] = -0.5F * facts.squared;
    finite[row] = facts.finite;
  }
  __syncthreads();
  const auto input = [&](uint32_t row, uint32_t k) { return rows(first_row + row, k); };
  Total totals[8];
  for (uint32_t tile = 0; tile < model.tensor.tiles; ++tile) {
    Product::Sums sums;
    Product::Run<kDifferences>(input, model.blocks + static_cast<size_t>(tile) * model.tensor.cols * 64,
                               model.tensor.cols, shared, sums);
    const float4 w = *reinterpret_cast<const float4*>(model.tensor.side + tile * 64 + Product::Column());
    const float4 n = *reinterpret_cast<const float4*>(model.norms + tile * 64 + Product::Column());
    const float alpha[4] = {w.x, w.y, w.z, w.w}, norm[4] = {n.x, n.y, n.z, n.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float part = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float exponent = kDifferences ? -0.5F * sums[i][j] : sums[i][j] + (norms[Product::Row() + i] + norm[j]);
        part = fmaf(alpha[j], device::Exp2Special(exponent), part);
      }
      totals[i].Add(part);
    }
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    float sum = totals[i].sum;
    for (int step = 8; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, step);
    const uint32_t row = Product::Row() + i;
    if (threadIdx.x % 16 != 0 || first_row + row >= group.count) continue;
    // ‖x'‖² overflows where every kernel is 0, and ∞ − ∞ in there is no kernel either.
    const double near = norms[row] >= -0.5F * model.far ? sum : 0;
    group.out[first_row + row] = static_cast<float>(model.rho - near) + finite[row];
  }
}

}  // namespace

cudaError_t CudaLaunch(uint32_t variant, const device::Launch& launch, const device::DeviceLimits&) {
  const auto tensor = [&](auto* kernel, int steps) {
    return device::Run(kernel, launch.tiles, Tensor::kThreads, Tensor::SharedBytes(steps), launch.stream, launch.groups,
                       launch.count);
  };
  const auto plain = [&](auto* kernel) {
    constexpr size_t kBytes = (Product::kSharedFloats + 2 * Product::kRows) * sizeof(float);
    return device::Run(kernel, launch.tiles, Product::kThreads, kBytes, launch.stream, launch.groups, launch.count);
  };
  switch (variant) {
    case kTensor16:
      return tensor(ScoreTensor<1, false>, 1);
    case kTensor32:
      return tensor(ScoreTensor<2, false>, 2);
    case kTensor64:
      return tensor(ScoreTensor<4, false>, 4);
    case kTensorWide:
      return tensor(ScoreTensor<Tensor::kWideSteps, true>, Tensor::kWideSteps);
    case kMultiplyAdd:
      return plain(ScorePlain<false>);
    case kDifferences:
      return plain(ScorePlain<true>);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace driftseal::kernels::svm
