#ifndef DRIFTSEAL_KERNELS_FOREST_CUDA_CUH_
#define DRIFTSEAL_KERNELS_FOREST_CUDA_CUH_

#include "kernels/device/cuda_api.h"
#include "kernels/device/group.cuh"
#include "kernels/device/memory.cuh"

// The isolation forest on the GPU. Path sums are the reference's to the bit (whole numbers of 2⁻¹⁶, in any order).
namespace driftseal::kernels::forest {

enum CudaVariant : uint32_t {
  kShared64,   ///< Trees of 4-byte nodes in shared memory, up to 64 features that the forest compares.
  kShared256,  ///< up to 256
  kWalk,       ///< Any forest: 8-byte nodes in device memory.
  kCudaVariants,
};
const char* CudaVariantName(uint32_t variant);

/// Trees in shared memory are complete: of depth D they have 2^D words, the first unused and then the nodes in
/// breadth-first order (so that the children of node i are 2i and 2i + 1, and a level's 32 nodes lie in 32 banks), and
/// 2^D bytes, the leaves' numbers in `palette`. A node is the byte offset of its feature in a row tile (bits 31..16)
/// and its threshold's rank (15..0).
inline constexpr uint32_t kMostDepth = 10, kMostPaths = 256;
constexpr uint32_t TreeBytes(uint32_t depth) { return depth < 2 ? 8u << depth : 5u << depth; }

/// Rows of a row tile: two a lane, as 16-bit ranks in the halves of a word; 128 bytes a feature.
inline constexpr uint32_t kTileRows = 64, kFeatureBytes = 128;
inline constexpr uint32_t kMostWarps = 12;  ///< A block's, each with a row tile of its own.

struct CudaModel {
  // Shared variants.
  const uint32_t* trees;     ///< In chunks that fit a block's shared memory; TreeBytes each.
  const uint32_t* palette;   ///< kMostPaths path lengths, in 2⁻¹⁶.
  const uint32_t* features;  ///< Which columns the forest compares: `used` of them.
  const uint2* searches;     ///< A feature's search tree: where it starts in `pivots`, and its levels L.
  const float* pivots;       ///< 2^L words a feature: one unused, then thresholds breadth-first, padded with +∞.
  uint32_t pivot_words;
  uint32_t used, depth, tree_words, tree_count, chunk_trees;
  // kWalk.
  const uint2* nodes;  ///< See WalkNode below.
  const uint32_t* roots;
  // All.
  double norm;
};

/// A node to walk: a leaf has kLeaf set in y and its path in x; an inner node has its threshold's bits in x, its
/// feature in y from kFeatureShift on and below that where its left child stands, counted from the root (the right one
/// follows).
struct CudaWalk {
  static constexpr uint32_t kLeaf = 1u << 31, kFeatureShift = 18, kIndexMask = (1u << kFeatureShift) - 1;
};

int CudaUpload(const device::CudaForest& forest, uint64_t cols, int32_t force, const device::DeviceLimits& limits,
               device::Uploader& uploader, device::Member* member);
cudaError_t CudaLaunch(uint32_t variant, const device::Launch& launch, const device::DeviceLimits& limits);

/// How a block of a shared variant divides its shared memory: row tiles, one a warp, and a chunk of trees.
struct CudaShares {
  uint32_t warps, tile_bytes, tree_bytes;
};
CudaShares SharesOf(uint32_t variant, const device::DeviceLimits& limits);

}  // namespace driftseal::kernels::forest

#endif  // DRIFTSEAL_KERNELS_FOREST_CUDA_CUH_
