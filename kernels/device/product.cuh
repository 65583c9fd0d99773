#ifndef DRIFTSEAL_KERNELS_DEVICE_PRODUCT_CUH_
#define DRIFTSEAL_KERNELS_DEVICE_PRODUCT_CUH_

#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "kernels/device/memory.cuh"

// A block's float32 product of 128 rows and 64 packed columns on the multiply-add pipes, for what the tensor cores'
// split does not hold the bound of. 256 threads, 8 rows × 4 columns each: three 16-byte loads from shared memory for 32
// multiply-adds.
namespace driftseal::kernels::device {

struct Product {
  static constexpr uint32_t kThreads = 256, kRows = 128, kColumns = 64, kDepth = 16, kStride = kRows + 4;
  static constexpr uint32_t kSharedFloats = kDepth * (kStride + kColumns);
  using Sums = float[8][4];

  __device__ static uint32_t Row() { return threadIdx.x / 16 * 8; }  ///< The thread's first row of the tile
  __device__ static uint32_t Column() { return threadIdx.x % 16 * 4; }

  /// sums[i][j] = Σ_k a·b, or Σ_k (a − b)², of row Row() + i and column Column() + j. `input(row, k)` gives a for row <
  /// kRows and k < depth; `packed` holds b as depth × 64. `shared` has kSharedFloats. All threads of the block call it.
  /// kFeatureMajor: neighbouring threads ask for neighbouring rows, not neighbouring k.
  template <bool kDifferences, bool kFeatureMajor = false, class Input>
  __device__ static void Run(const Input& input, const float* packed, uint32_t depth, float* shared, Sums& sums) {
    float* a = shared;
    float* b = shared + kDepth * kStride;
    for (auto& row : sums) {
      for (float& sum : row) sum = 0;
    }
    for (uint32_t first = 0; first < depth; first += kDepth) {
      const uint32_t count = min(kDepth, depth - first);
      __syncthreads();
      for (uint32_t i = threadIdx.x; i < kRows * kDepth; i += kThreads) {
        const uint32_t row = kFeatureMajor ? i % kRows : i / kDepth, k = kFeatureMajor ? i / kRows : i % kDepth;
        if (k < count) a[k * kStride + row] = input(row, first + k);
      }
      for (uint32_t i = threadIdx.x; i < count * (kColumns / 4); i += kThreads) {
        reinterpret_cast<float4*>(b)[i] = reinterpret_cast<const float4*>(packed + first * kColumns)[i];
      }
      __syncthreads();
      for (uint32_t k = 0; k < count; ++k) {
        Step<kDifferences>(a + k * kStride + Row(), b + k * kColumns + Column(), sums);
      }
    }
  }

 private:
  template <bool kDifferences>
  __device__ static void Step(const float* a, const float* b, Sums& sums) {
    const float4 low = *reinterpret_cast<const float4*>(a), high = *reinterpret_cast<const float4*>(a + 4);
    const float4 columns = *reinterpret_cast<const float4*>(b);
    const float x[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    const float y[4] = {columns.x, columns.y, columns.z, columns.w};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if constexpr (kDifferences) {
          const float difference = x[i] - y[j];
          sums[i][j] = fmaf(difference, difference, sums[i][j]);
        } else {
          sums[i][j] = fmaf(x[i], y[j], sums[i][j]);
        }
      }
    }
  }
};

/// count × cols values, row-major, as blocks of 64: value c of row i at (i / 64 · cols + c) · 64 + i % 64; zeros to the
/// end of the last block. `value(i, c)` is rounded once.
template <class Value>
std::vector<float> PackColumns(uint64_t count, uint64_t cols, const Value& value) {
  constexpr uint64_t kBlock = Product::kColumns;
  std::vector<float> packed((count + kBlock - 1) / kBlock * kBlock * cols);
  for (uint64_t i = 0; i < count; ++i) {
    for (uint64_t c = 0; c < cols; ++c) {
      packed[(i / kBlock * cols + c) * kBlock + i % kBlock] = static_cast<float>(value(i, c));
    }
  }
  return packed;
}

/// What a kernel must know of a row before it starts.
struct RowFacts {
  float squared;  ///< Σ_k input(row, k)²
  float finite;   ///< 0, or NaN where the row is not finite.
  float largest;  ///< max_k |x_k|
};

/// Facts about one row, by a warp: `raw(k)` is the row's value, `input(k)` what the kernel makes of it.
template <class Raw, class Input>
__device__ RowFacts WarpRowFacts(const Raw& raw, const Input& input, uint32_t cols) {
  float squared = 0, finite = 0, largest = 0;
  for (uint32_t k = threadIdx.x % 32; k < cols; k += 32) {
    const float x = raw(k), y = input(k);
    finite += x * 0.0F;  // NaN for NaN and for infinities
    largest = fmaxf(largest, fabsf(x));
    squared = fmaf(y, y, squared);
  }
  for (int step = 16; step > 0; step /= 2) {
    squared += __shfl_xor_sync(0xffffffffU, squared, step);
    finite += __shfl_xor_sync(0xffffffffU, finite, step);
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, step));
  }
  return {squared, finite, largest};
}

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_PRODUCT_CUH_
