#include <algorithm>

#include "kernels/device/group.cuh"
#include "kernels/device/mma.cuh"
#include "kernels/svm/fit_cuda.cuh"

// Products of panels on the multiply-add pipes. Tensor cores would halve the time of a step that is a part of the
// whole, and their split's error depends on the place of an entry in its tile.
namespace driftseal::kernels::svm {
namespace {

constexpr uint32_t kThreads = 256, kDepth = 16;
constexpr uint32_t kRows = kFitRowTile, kColumns = kFitBlock;  // of a tile; 8 × 4 a thread

__device__ uint32_t Blocks(uint32_t rows) { return (rows + kFitBlock - 1) / kFitBlock; }

/// kDepth features of a tile's rows and columns.
struct Stage {
  float rows[kDepth * kRows], columns[kDepth * kColumns];

  /// Four neighbouring rows at a time; beyond the panel's last block there are zeros.
  __device__ static void Load(const CudaFitPanel& panel, uint32_t first_block, uint32_t width, uint32_t first,
                              uint32_t count, float* to) {
    const uint32_t quads = width / 4, blocks = Blocks(panel.rows);
    for (uint32_t i = threadIdx.x; i < count * quads; i += kThreads) {
      const uint32_t f = i / quads, row = i % quads * 4, block = first_block + row / kFitBlock;
      float4 value = make_float4(0, 0, 0, 0);
      if (block < blocks) {
        const size_t at = (static_cast<size_t>(block) * panel.cols + first + f) * kFitBlock + row % kFitBlock;
        value = *reinterpret_cast<const float4*>(panel.blocks + at);
      }
      *reinterpret_cast<float4*>(to + f * width + row) = value;
    }
  }
};

__device__ uint32_t Row() { return threadIdx.x / 16 * 8; }
__device__ uint32_t Column() { return threadIdx.x % 16 * 4; }

/// k[i][j] of rows tile·128 + Row() + i and columns block·64 + Column() + j. All threads of the block call it.
template <bool kDifferences>
__device__ void KernelTile(const CudaFitPanel& rows, uint32_t tile, const CudaFitPanel& columns, uint32_t block,
                           Stage& stage, float (&k)[8][4]) {
  for (auto& row : k) {
    for (float& sum : row) sum = 0;
  }
  for (uint32_t first = 0; first < rows.cols; first += kDepth) {
    const uint32_t count = min(kDepth, rows.cols - first);
    __syncthreads();
    Stage::Load(rows, tile * (kRows / kFitBlock), kRows, first, count, stage.rows);
    Stage::Load(columns, block, kColumns, first, count, stage.columns);
    __syncthreads();
    for (uint32_t f = 0; f < count; ++f) {
      float x[8], y[4];
      *reinterpret_cast<float4*>(x) = *reinterpret_cast<const float4*>(stage.rows + f * kRows + Row());
      *reinterpret_cast<float4*>(x + 4) = *reinterpret_cast<const float4*>(stage.rows + f * kRows + Row() + 4);
      *reinterpret_cast<float4*>(y) = *reinterpret_cast<const float4*>(stage.columns + f * kColumns + Column());
#pragma unroll
      for (int i = 0; i < 8; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const float a = kDifferences ? x[i] - y[j] : x[i], b = kDifferences ? a : y[j];
          k[i][j] = fmaf(a, b, k[i][j]);
        }
      }
    }
  }
  const uint32_t first_row = tile * kRows + Row(), first_column = block * kFitBlock + Column();
  const uint32_t padded = Blocks(rows.rows) * kFitBlock;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float row_norm = first_row + i < padded ? rows.norms[first_row + i] : 0;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float exponent = kDifferences ? -0.5F * k[i][j] : k[i][j] + (row_norm + columns.norms[first_column + j]);
      k[i][j] = device::Exp2Special(exponent);
    }
  }
}

__global__ void Norms(CudaFitPanel panel) {
  const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x, block = row / kFitBlock;
  if (block >= Blocks(panel.rows)) return;
  const float* x = panel.blocks + static_cast<size_t>(block) * panel.cols * kFitBlock + row % kFitBlock;
  float sum = 0;  // in the order of KernelTile, so that k(x, x) = 2^0
  for (uint32_t f = 0; f < panel.cols; ++f) sum = fmaf(x[f * kFitBlock], x[f * kFitBlock], sum);
  panel.norms[row] = -0.5F * sum;
}

/// Four rows of blocks.y features a block of threads.
__global__ void Gather(CudaFitPanel from, const uint32_t* chosen, CudaFitPanel to, double* weights) {
  const uint32_t row = blockIdx.x * kFitBlock + threadIdx.x;
  const bool there = row < to.rows;
  const uint32_t source = there ? chosen[row] : 0;
  const float* x = from.blocks + static_cast<size_t>(source / kFitBlock) * from.cols * kFitBlock + source % kFitBlock;
  float* out = to.blocks + static_cast<size_t>(blockIdx.x) * to.cols * kFitBlock + threadIdx.x;
  for (uint32_t f = threadIdx.y; f < to.cols; f += blockDim.y) out[f * kFitBlock] = there ? x[f * kFitBlock] : 0;
  if (threadIdx.y > 0) return;
  to.norms[row] = there ? from.norms[source] : 0;
  if (weights != nullptr && !there) weights[row] = 0;
}

/// partial[blockIdx.y][row]: the part of the columns' tiles [y·tiles, (y + 1)·tiles).
template <bool kDifferences>
__global__ void __launch_bounds__(kThreads)
    SumKernels(CudaFitPanel columns, const double* weights, CudaFitPanel rows, uint32_t tiles, double* partial) {
  __shared__ Stage stage;
  double totals[8] = {};
  const uint32_t end = min(Blocks(columns.rows), (blockIdx.y + 1) * tiles);
  for (uint32_t block = blockIdx.y * tiles; block < end; ++block) {
    float k[8][4];
    KernelTile<kDifferences>(rows, blockIdx.x, columns, block, stage, k);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const double weight = weights[block * kFitBlock + Column() + j];
#pragma unroll
      for (int i = 0; i < 8; ++i) totals[i] = fma(weight, static_cast<double>(k[i][j]), totals[i]);
    }
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    for (int step = 8; step > 0; step /= 2) totals[i] += __shfl_xor_sync(0xffffffffU, totals[i], step);
    const size_t row = (static_cast<size_t>(blockIdx.y) * gridDim.x + blockIdx.x) * kRows + Row() + i;
    if (threadIdx.x % 16 == 0) partial[row] = totals[i];
  }
}

__global__ void AddPartials(const double* partial, uint32_t parts, uint32_t padded, uint32_t rows, double* sums) {
  const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  double sum = sums[row];
  for (uint32_t part = 0; part < parts; ++part) sum += partial[static_cast<size_t>(part) * padded + row];
  sums[row] = sum;
}

template <bool kDifferences>
__global__ void __launch_bounds__(kThreads) Matrix(CudaFitPanel panel, uint32_t stride, float* matrix) {
  __shared__ Stage stage;
  float k[8][4];
  KernelTile<kDifferences>(panel, blockIdx.x, panel, blockIdx.y, stage, k);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const uint32_t row = blockIdx.x * kRows + Row() + i;
    if (row >= panel.rows) continue;
    const size_t at = static_cast<size_t>(row) * stride + blockIdx.y * kFitBlock + Column();
    *reinterpret_cast<float4*>(matrix + at) = make_float4(k[i][0], k[i][1], k[i][2], k[i][3]);
  }
}

uint32_t Tiles(uint32_t rows, uint32_t of) { return (rows + of - 1) / of; }

}  // namespace

cudaError_t CudaFitNorms(const CudaFitPanel& panel, cudaStream_t stream) {
  return device::Run(Norms, Tiles(panel.rows, kThreads), kThreads, 0, stream, panel);
}

cudaError_t CudaFitGather(const CudaFitPanel& from, const uint32_t* chosen, const CudaFitPanel& to, double* weights,
                          cudaStream_t stream) {
  return device::Run(Gather, Tiles(to.rows, kFitBlock), dim3(kFitBlock, 8), 0, stream, from, chosen, to, weights);
}

cudaError_t CudaFitSums(const CudaFitPanel& columns, const double* weights, const CudaFitPanel& rows, double* partial,
                        double* sums, cudaStream_t stream) {
  if (columns.rows == 0) return cudaSuccess;
  const uint32_t row_tiles = Tiles(rows.rows, kRows), column_tiles = Tiles(columns.rows, kFitBlock);
  const uint32_t wished = std::clamp(kFitMostRowTiles / row_tiles, 1U, column_tiles);
  const uint32_t tiles = Tiles(column_tiles, wished), parts = Tiles(column_tiles, tiles);
  const auto kernel = columns.differences ? SumKernels<true> : SumKernels<false>;
  const cudaError_t error =
      device::Run(kernel, dim3(row_tiles, parts), kThreads, 0, stream, columns, weights, rows, tiles, partial);
  if (error != cudaSuccess) return error;
  return device::Run(AddPartials, Tiles(rows.rows, kThreads), kThreads, 0, stream, static_cast<const double*>(partial),
                     parts, row_tiles * kRows, rows.rows, sums);
}

cudaError_t CudaFitMatrix(const CudaFitPanel& panel, float* matrix, cudaStream_t stream) {
  const auto kernel = panel.differences ? Matrix<true> : Matrix<false>;
  const uint32_t stride = Tiles(panel.rows, kFitBlock) * kFitBlock;
  return device::Run(kernel, dim3(Tiles(panel.rows, kRows), stride / kFitBlock), kThreads, 0, stream, panel, stride,
                     matrix);
}

}  // namespace driftseal::kernels::svm
