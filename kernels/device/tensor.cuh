#ifndef DRIFTSEAL_KERNELS_DEVICE_TENSOR_CUH_
#define DRIFTSEAL_KERNELS_DEVICE_TENSOR_CUH_

#include <cuda_runtime.h>

#include <cstdint>
#include <vector>

#include "kernels/device/mma.cuh"

// Inner products of rows and a model's vectors on the tensor cores, folded as they come: the matrix is never written
// (Dao 2022, "FlashAttention", without the softmax). Both sides are split in two halves, x = high + low, and
// x·s = low·high + high·low + high·high, so products are off by some 2⁻²², not by the 2⁻¹¹ of a half or the 2⁻⁸ of a
// bfloat16, at the same rate; the price is fp16's range, so callers scale their vectors.
namespace driftseal::kernels::device {

/// What passes by a block: vectors in tiles of 64, 16·steps columns at a time.
struct TensorModel {
  const uint4* fragments;  ///< See PackFragments.
  const float* side;       ///< A number a vector, to the end of the last tile.
  const float* centre;     ///< cols
  float scale;             ///< Rows enter as scale·(x − centre).
  uint32_t cols, tiles, chunks;
};

struct Tensor {
  static constexpr uint32_t kThreads = 256, kRows = 256;  ///< Of a block; a warp has 32 rows.
  static constexpr uint32_t kVectors = 64;                ///< Of a tile.
  static constexpr int kRowTiles = 2, kEights = 8;        ///< A warp's, of 16 rows; a tile's, of 8 vectors.
  static constexpr int kWideSteps = 2;                    ///< Of 16 columns, where columns do not stay in registers.
  using Sums = float[kRowTiles][4];                       ///< A lane's of 8 vectors; mma.cuh says which.

  __host__ __device__ static constexpr uint32_t Words(int steps) { return static_cast<uint32_t>(kEights * steps * 32); }
  static constexpr size_t SharedBytes(int steps) {
    return 2 * (Words(steps) * sizeof(uint4) + kVectors * sizeof(float));
  }
};

/// scale·(x − centre) of one value; 0 outside the matrix.
struct ScaledRows {
  const float* rows;
  const float* centre;
  float scale;
  uint32_t count, cols;
  __device__ float operator()(uint32_t row, uint32_t col) const {
    if (row >= count || col >= cols) return 0;
    return (rows[static_cast<size_t>(row) * cols + col] - centre[col]) * scale;
  }
};

/// One warp's 32 rows × kSteps·16 columns as A operands, split in two halves.
template <int kSteps>
struct Operands {
  uint32_t high[Tensor::kRowTiles][kSteps][4], low[Tensor::kRowTiles][kSteps][4];

  /// Also adds the squares that this lane sees to squared[tile][row g, row g + 8].
  __device__ void Load(const ScaledRows& rows, uint32_t first_row, uint32_t first_col,
                       float (&squared)[Tensor::kRowTiles][2]) {
    const uint32_t lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int m = 0; m < Tensor::kRowTiles; ++m) {
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          const uint32_t row = first_row + m * 16 + g + r % 2 * 8, col = first_col + step * 16 + 2 * t + r / 2 * 8;
          const float x = rows(row, col), y = rows(row, col + 1);
          squared[m][r % 2] = fmaf(x, x, fmaf(y, y, squared[m][r % 2]));
          __half xh, xl, yh, yl;
          SplitHalves(x, xh, xl);
          SplitHalves(y, yh, yl);
          high[m][step][r] = PackHalves(xh, yh);
          low[m][step][r] = PackHalves(xl, yl);
        }
      }
    }
  }

  /// sums += x·s of two times 8 vectors; `fragments` are their 2 × kSteps × 32 lanes in shared memory. Four chains of
  /// sums take turns, so that they hide each other's latency; small products come first.
  __device__ void MultiplyAdd(const uint4* fragments, Tensor::Sums& first, Tensor::Sums& second) const {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const uint4 a = fragments[step * 32 + threadIdx.x % 32], b = fragments[(kSteps + step) * 32 + threadIdx.x % 32];
#pragma unroll
      for (int m = 0; m < Tensor::kRowTiles; ++m) {
        Mma(first[m], low[m][step], a.x, a.y);
        Mma(second[m], low[m][step], b.x, b.y);
      }
#pragma unroll
      for (int m = 0; m < Tensor::kRowTiles; ++m) {
        Mma(first[m], high[m][step], a.z, a.w);
        Mma(second[m], high[m][step], b.z, b.w);
      }
#pragma unroll
      for (int m = 0; m < Tensor::kRowTiles; ++m) {
        Mma(first[m], high[m][step], a.x, a.y);
        Mma(second[m], high[m][step], b.x, b.y);
      }
    }
  }
};

/// A tile's chunk of columns on its way into shared memory.
template <int kSteps>
__device__ void PrefetchTile(const TensorModel& model, uint32_t pass, uint4* shared, float* shared_side) {
  constexpr uint32_t kWords = Tensor::Words(kSteps);
  const uint32_t stage = pass % 2, tile = pass / model.chunks;
  const uint4* source = model.fragments + static_cast<size_t>(pass) * kWords;
  for (uint32_t i = threadIdx.x; i < kWords; i += Tensor::kThreads) {
    CopyAsync16(shared + stage * kWords + i, source + i);
  }
  if (threadIdx.x < Tensor::kVectors / 4) {
    const uint32_t at = threadIdx.x * 4;
    CopyAsync16(shared_side + stage * Tensor::kVectors + at, model.side + tile * Tensor::kVectors + at);
  }
}

/// A warp's 32 rows against all vectors, double-buffered in shared memory (Tensor::SharedBytes). kWide: rows have more
/// columns than registers hold, and are read again for each tile. `fold` gets every 8 vectors' sums once by
/// Eight(n, sums, side) and then Tile(tile); `squared` gets the lanes' shares of each row's squared norm.
template <int kSteps, bool kWide, class Fold>
__device__ void PassVectors(const TensorModel& model, const ScaledRows& rows, uint32_t first_row,
                            float (&squared)[Tensor::kRowTiles][2], Fold& fold) {
  constexpr uint32_t kWords = Tensor::Words(kSteps);
  uint4* shared = reinterpret_cast<uint4*>(DynamicShared());
  float* shared_side = reinterpret_cast<float*>(shared + 2 * kWords);
  const uint32_t chunks = kWide ? model.chunks : 1, passes = model.tiles * chunks;
  if (passes > 0) PrefetchTile<kSteps>(model, 0, shared, shared_side);
  CopyCommit();
  Operands<kSteps> x;
  if constexpr (!kWide) x.Load(rows, first_row, 0, squared);
  Tensor::Sums sums[kWide ? Tensor::kEights : 2] = {};
  for (uint32_t pass = 0; pass < passes; ++pass) {
    if (pass + 1 < passes) PrefetchTile<kSteps>(model, pass + 1, shared, shared_side);
    CopyCommit();
    if constexpr (kWide) {
      float seen[Tensor::kRowTiles][2] = {};
      x.Load(rows, first_row, pass % chunks * kSteps * 16, seen);
#pragma unroll
      for (int m = 0; m < Tensor::kRowTiles; ++m) {
        squared[m][0] += pass < chunks ? seen[m][0] : 0;
        squared[m][1] += pass < chunks ? seen[m][1] : 0;
      }
    }
    CopyWait<1>();
    __syncthreads();
    const uint4* fragments = shared + pass % 2 * kWords;
    const float* side = shared_side + pass % 2 * Tensor::kVectors;
    const bool last = !kWide || pass % chunks + 1 == chunks;
#pragma unroll
    for (int n = 0; n < Tensor::kEights; n += 2) {
      x.MultiplyAdd(fragments + n * kSteps * 32, sums[kWide ? n : 0], sums[kWide ? n + 1 : 1]);
      if (!last) continue;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        Tensor::Sums& eight = sums[kWide ? n + i : i];
        fold.Eight(n + i, eight, side + (n + i) * 8);
#pragma unroll
        for (auto& row : eight) row[0] = row[1] = row[2] = row[3] = 0;
      }
    }
    if (last) fold.Tile(pass / chunks);
    __syncthreads();
  }
  // Without vectors nobody has seen the rows.
  for (uint32_t chunk = 0; kWide && passes == 0 && chunk * kSteps * 16 < model.cols; ++chunk) {
    x.Load(rows, first_row, chunk * kSteps * 16, squared);
  }
}

/// Adds up over the four lanes that share a row.
__device__ inline float QuadSum(float x) {
  x += __shfl_xor_sync(0xffffffffU, x, 1);
  return x + __shfl_xor_sync(0xffffffffU, x, 2);
}

/// B operands (mma.cuh) in the order in which lanes read them: tile, chunk of columns, 8 vectors, step of 16 columns,
/// lane; 16 bytes a lane: the high halves of its two registers, then the low ones. `value(vector, col)` in float32.
template <class Value>
std::vector<uint4> PackFragments(uint64_t count, uint64_t cols, uint32_t steps, const Value& value) {
  const uint64_t tiles = (count + Tensor::kVectors - 1) / Tensor::kVectors;
  const uint64_t chunks = (cols + steps * 16 - 1) / (steps * 16);
  std::vector<uint4> fragments;
  fragments.reserve(tiles * chunks * Tensor::Words(static_cast<int>(steps)));
  const auto pair = [&](uint64_t vector, uint64_t col, uint32_t& high, uint32_t& low) {
    __half h[2], l[2];
    for (uint64_t i = 0; i < 2; ++i) {
      const bool there = vector < count && col + i < cols;
      SplitHalves(there ? static_cast<float>(value(vector, col + i)) : 0, h[i], l[i]);
    }
    high = PackHalves(h[0], h[1]);
    low = PackHalves(l[0], l[1]);
  };
  for (uint64_t at = 0; at < tiles * chunks * Tensor::kEights * steps; ++at) {
    const uint64_t step = at % steps, eight = at / steps % Tensor::kEights;
    const uint64_t chunk = at / steps / Tensor::kEights % chunks, tile = at / steps / Tensor::kEights / chunks;
    for (uint64_t lane = 0; lane < 32; ++lane) {
      const uint64_t vector = tile * Tensor::kVectors + eight * 8 + lane / 4;
      const uint64_t col = (chunk * steps + step) * 16 + lane % 4 * 2;
      uint4 words{};
      pair(vector, col, words.x, words.z);
      pair(vector, col + 8, words.y, words.w);
      fragments.push_back(words);
    }
  }
  return fragments;
}

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_TENSOR_CUH_
