#include <cmath>

#include "kernels/device/mma.cuh"
#include "kernels/forest/cuda.cuh"

namespace driftseal::kernels::forest {
namespace {

using device::Group;

constexpr uint32_t kThreads = 256;
constexpr uint32_t kRowWords = kFeatureBytes / 4;  // A feature of a row tile: a word a lane
constexpr uint32_t kStride = kTileRows + 1;        // Of rows while they are turned feature-major
constexpr uint32_t kStageFeatures = 32;

/// Row tiles of a group's ranks, then a path sum a row.
__device__ uint32_t* RowTiles(const Group& group) { return static_cast<uint32_t*>(group.scratch); }
__device__ uint32_t* PathSums(const Group& group, const CudaModel& model) {
  const uint32_t tiles = (group.count + kTileRows - 1) / kTileRows;
  return RowTiles(group) + static_cast<size_t>(tiles) * model.used * kRowWords;
}

__device__ float Score(uint32_t path, double norm) {
  if (norm < 0) return __uint_as_float(path);
  return norm > 0 ? exp2f(static_cast<float>(-static_cast<double>(path) / norm)) : 0.5F;
}

/// 1 + how many of a feature's thresholds lie below x; NaN above all. Of two values at once: two searches hide each
/// other's latency. The first rank is in the low half.
__device__ uint32_t Ranks(const float* tree, uint32_t levels, float x, float y) {
  uint32_t i = 1, j = 1;
  for (uint32_t level = 0; level < levels; ++level) {
    i = 2 * i + (tree[i] < x ? 1 : 0);
    j = 2 * j + (tree[j] < y ? 1 : 0);
  }
  const uint32_t first = isnan(x) ? 0xffffU : i - (1U << levels) + 1;
  const uint32_t second = isnan(y) ? 0xffffU : j - (1U << levels) + 1;
  return first | second << 16;
}

/// Turns rows into row tiles of ranks. The thresholds lie in shared memory, where `in_shared` says they fit; a block
/// then serves many tiles.
__global__ void __launch_bounds__(kThreads)
    Quantise(const Group* groups, uint32_t count, uint32_t tiles, uint32_t shared_words, bool clear_sums) {
  float* stage = reinterpret_cast<float*>(device::DynamicShared());
  float* shared_pivots = stage + kStageFeatures * kStride;
  const CudaModel* loaded = nullptr;
  for (uint32_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const Group& group = device::FindGroup(groups, count, tile);
    const CudaModel& model = *static_cast<const CudaModel*>(group.model);
    const uint32_t own = tile - group.first_tile, first_row = own * kTileRows;
    if (first_row >= group.count) continue;
    const bool in_shared = model.pivot_words <= shared_words;
    if (in_shared && loaded != &model) {
      __syncthreads();
      for (uint32_t i = threadIdx.x; i < model.pivot_words; i += kThreads) shared_pivots[i] = model.pivots[i];
      loaded = &model;
    }
    const float* pivots = in_shared ? shared_pivots : model.pivots;
    uint32_t* ranks = RowTiles(group) + static_cast<size_t>(own) * model.used * kRowWords;
    if (clear_sums && threadIdx.x < kTileRows) PathSums(group, model)[first_row + threadIdx.x] = 0;
    for (uint32_t first = 0; first < model.used; first += kStageFeatures) {
      const uint32_t features = min(kStageFeatures, model.used - first), lane = threadIdx.x % 32;
      __syncthreads();
      if (lane < features) {
        const uint32_t column = model.features[first + lane];
        for (uint32_t row = threadIdx.x / 32; row < kTileRows; row += kThreads / 32) {
          const uint32_t at = min(first_row + row, group.count - 1);
          stage[lane * kStride + row] = group.rows[static_cast<size_t>(at) * group.cols + column];
        }
      }
      __syncthreads();
      for (uint32_t f = threadIdx.x / 32; f < features; f += kThreads / 32) {
        const uint2 search = model.searches[first + f];
        ranks[(first + f) * kRowWords + lane] =
            Ranks(pivots + search.x, search.y, stage[f * kStride + lane], stage[f * kStride + lane + 32]);
      }
    }
  }
}

/// Adds to a lane's two rows the paths of kTrees trees at once: 2·kTrees independent walks hide the latency of shared
/// memory. `row` is the lane's word of feature 0.
template <int kTrees>
__device__ void Walk(const uint32_t* trees, uint32_t tree_words, uint32_t depth, const unsigned char* row,
                     const uint32_t* palette, uint32_t (&sums)[2]) {
  uint32_t at[kTrees][2];
#pragma unroll
  for (auto& rows : at) rows[0] = rows[1] = 1;
  for (uint32_t level = 0; level < depth; ++level) {
#pragma unroll
    for (int t = 0; t < kTrees; ++t) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const uint32_t node = trees[t * tree_words + at[t][r]];
        const uint32_t word = *reinterpret_cast<const uint32_t*>(row + (node >> 16));
        const uint32_t rank = r == 0 ? word & 0xffffU : word >> 16;
        at[t][r] = 2 * at[t][r] + (rank > (node & 0xffffU) ? 1 : 0);
      }
    }
  }
#pragma unroll
  for (int t = 0; t < kTrees; ++t) {
    const auto* leaves = reinterpret_cast<const unsigned char*>(trees + t * tree_words + (1U << depth));
#pragma unroll
    for (int r = 0; r < 2; ++r) sums[r] += palette[leaves[at[t][r] - (1U << depth)]];
  }
}

/// One row tile of 64 rows against `count` trees in shared memory, by a warp.
__device__ void WalkTile(const uint32_t* trees, uint32_t count, const CudaModel& model, const uint32_t* ranks,
                         unsigned char* tile, const uint32_t* palette, uint32_t (&sums)[2]) {
  const uint32_t lane = threadIdx.x % 32;
  __syncwarp();  // The tile before has been read.
  for (uint32_t i = lane; i < model.used * (kFeatureBytes / 16); i += 32) {
    device::CopyAsync16(tile + i * 16, ranks + i * 4);
  }
  device::CopyCommit();
  device::CopyWait<0>();
  __syncwarp();
  const unsigned char* row = tile + lane * 4;
  uint32_t t = 0;
  for (; t + 2 <= count; t += 2) {
    Walk<2>(trees + t * model.tree_words, model.tree_words, model.depth, row, palette, sums);
  }
  if (t < count) Walk<1>(trees + t * model.tree_words, model.tree_words, model.depth, row, palette, sums);
}

/// Blocks take equal runs of row tiles and, by blockIdx.y, a chunk of the trees. Within a run a block loads a
/// detector's trees once; its warps then take tiles on their own.
__global__ void __launch_bounds__(kMostWarps * 32, 1)
    ScoreShared(const Group* groups, uint32_t count, uint32_t tiles, uint32_t tile_bytes, bool direct) {
  unsigned char* shared = device::DynamicShared();
  const uint32_t warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  unsigned char* tile = shared + warp * tile_bytes;
  uint32_t* palette = reinterpret_cast<uint32_t*>(shared + warps * tile_bytes);
  uint32_t* trees = palette + kMostPaths;
  const uint32_t run = (tiles + gridDim.x - 1) / gridDim.x, end = min(tiles, (blockIdx.x + 1) * run);
  for (uint32_t begin = blockIdx.x * run; begin < end;) {
    const Group& group = device::FindGroup(groups, count, begin);
    const CudaModel& model = *static_cast<const CudaModel*>(group.model);
    const uint32_t last_tile = group.first_tile + (group.count + kTileRows - 1) / kTileRows;
    const uint32_t next = &group + 1 == groups + count ? tiles : (&group + 1)->first_tile;
    const uint32_t stop = min(end, last_tile), first_tree = blockIdx.y * model.chunk_trees;
    if (begin < stop && first_tree < max(1U, model.tree_count)) {
      const uint32_t own = min(model.chunk_trees, model.tree_count - first_tree);
      __syncthreads();
      const uint32_t* source = model.trees + static_cast<size_t>(first_tree) * model.tree_words;
      for (uint32_t i = threadIdx.x; i < own * model.tree_words; i += blockDim.x) trees[i] = source[i];
      for (uint32_t i = threadIdx.x; i < kMostPaths; i += blockDim.x) palette[i] = model.palette[i];
      __syncthreads();
      for (uint32_t at = begin + warp; at < stop; at += warps) {
        const uint32_t first_row = (at - group.first_tile) * kTileRows;
        uint32_t sums[2] = {};
        WalkTile(trees, own, model, RowTiles(group) + static_cast<size_t>(first_row) / 2 * model.used, tile, palette,
                 sums);
        for (uint32_t r = 0; r < 2; ++r) {
          const uint32_t row = first_row + lane + r * 32;
          if (row >= group.count) continue;
          if (direct) {
            group.out[row] = Score(sums[r], model.norm);
          } else {
            atomicAdd(PathSums(group, model) + row, sums[r]);
          }
        }
      }
    }
    begin = min(end, next);
  }
}

/// Scores from the path sums that several chunks of trees have added up.
__global__ void Finish(const Group* groups, uint32_t count) {
  const Group& group = device::FindGroup(groups, count, blockIdx.x);
  const CudaModel& model = *static_cast<const CudaModel*>(group.model);
  const uint32_t row = (blockIdx.x - group.first_tile) * kTileRows + threadIdx.x;
  if (row < group.count) group.out[row] = Score(PathSums(group, model)[row], model.norm);
}

/// Any forest: a warp takes 32 rows through its share of the trees.
__global__ void __launch_bounds__(kThreads) ScoreWalk(const Group* groups, uint32_t count) {
  const Group& group = device::FindGroup(groups, count, blockIdx.x);
  const CudaModel& model = *static_cast<const CudaModel*>(group.model);
  const uint32_t first_row = (blockIdx.x - group.first_tile) * 32, lane = threadIdx.x % 32;
  if (first_row >= group.count) return;
  auto* sums = reinterpret_cast<uint32_t*>(device::DynamicShared());
  if (threadIdx.x < 32) sums[lane] = 0;
  __syncthreads();
  const float* row = group.rows + static_cast<size_t>(min(first_row + lane, group.count - 1)) * group.cols;
  uint32_t sum = 0;
  for (uint32_t t = threadIdx.x / 32; t < model.tree_count; t += kThreads / 32) {
    const uint2* root = model.nodes + model.roots[t];
    uint2 node = *root;
    while ((node.y & CudaWalk::kLeaf) == 0) {
      const bool left = row[node.y >> CudaWalk::kFeatureShift] <= __uint_as_float(node.x);  // false for NaN
      node = root[(node.y & CudaWalk::kIndexMask) + (left ? 0 : 1)];
    }
    sum += node.x;
  }
  atomicAdd(sums + lane, sum);
  __syncthreads();
  if (threadIdx.x < 32 && first_row + lane < group.count) group.out[first_row + lane] = Score(sums[lane], model.norm);
}

}  // namespace

cudaError_t CudaLaunch(uint32_t variant, const device::Launch& launch, const device::DeviceLimits& limits) {
  if (variant == kWalk) {
    return device::Run(ScoreWalk, launch.tiles, kThreads, 32 * sizeof(uint32_t), launch.stream, launch.groups,
                       launch.count);
  }
  if (variant > kWalk) return cudaErrorInvalidValue;
  const CudaShares shares = SharesOf(variant, limits);
  const bool direct = launch.parts <= 1;
  // Thresholds get up to a third of a multiprocessor, so that three blocks hide each other's latency, or up to all.
  constexpr uint32_t kStageBytes = kStageFeatures * kStride * sizeof(float);
  const uint32_t bytes = launch.parts <= 1 ? limits.shared_bytes / 3 : limits.shared_bytes;
  const uint32_t pivot_words = (bytes - kStageBytes) / 4 - 256;
  DRIFTSEAL_CUDA_TRY(device::Run(Quantise, min(launch.tiles, limits.multiprocessors * 3), kThreads,
                                 kStageBytes + pivot_words * 4, launch.stream, launch.groups, launch.count,
                                 launch.tiles, pivot_words, !direct));
  const dim3 grid(min((launch.tiles + shares.warps - 1) / shares.warps, limits.multiprocessors), launch.parts);
  DRIFTSEAL_CUDA_TRY(device::Run(ScoreShared, grid, shares.warps * 32, limits.shared_bytes, launch.stream,
                                 launch.groups, launch.count, launch.tiles, shares.tile_bytes, direct));
  if (direct) return cudaSuccess;
  return device::Run(Finish, launch.tiles, kTileRows, 0, launch.stream, launch.groups, launch.count);
}

}  // namespace driftseal::kernels::forest
