#ifndef DRIFTSEAL_KERNELS_DEVICE_GROUP_CUH_
#define DRIFTSEAL_KERNELS_DEVICE_GROUP_CUH_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

// A kernel scores rows of many detectors in one launch: its work list is a list of groups, one a detector, and a block
// looks up whose tile of rows it has. So a fleet's detectors cost a few launches, not one each.
namespace driftseal::kernels::device {

/// Rows of one detector. Lives in device memory: a captured graph replays with other counts.
struct Group {
  const void* model;  ///< The algorithm's own struct, in device memory.
  const float* rows;  ///< count × cols, row-major.
  float* out;         ///< count
  void* scratch;      ///< Member::scratch_row bytes a row, rounded up to whole tiles.
  uint32_t cols, count;
  uint32_t first_tile;  ///< Of the launch's tiles; ascending over the groups.
};

/// A launch of one variant.
struct Launch {
  const Group* groups;  ///< Device memory.
  uint32_t count;
  uint32_t tiles;  ///< Over all groups.
  uint32_t rows;   ///< Over all groups.
  uint32_t parts;  ///< The largest Member::parts.
  cudaStream_t stream;
};

/// Of the device, as launches need them.
struct DeviceLimits {
  uint32_t multiprocessors = 1;
  uint32_t shared_bytes = 48 << 10;  ///< A block's most, after cudaFuncSetAttribute.
};

/// The host's side of an uploaded member.
struct Member {
  const void* model = nullptr;  ///< Null: not there.
  uint32_t variant = 0;
  uint32_t tile_rows = 1;    ///< Rows of a tile in this variant's launches.
  uint64_t scratch_row = 0;  ///< Bytes.
  uint32_t parts = 1;        ///< The algorithm's own, such as groups of trees.
};

/// The group that holds `tile`.
__device__ inline const Group& FindGroup(const Group* groups, uint32_t count, uint32_t tile) {
  uint32_t low = 0, high = count - 1;
  while (low < high) {
    const uint32_t middle = (low + high + 1) / 2;
    if (groups[middle].first_tile <= tile) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return groups[low];
}

/// kernel<<<grid, block, shared, stream>>>(args...), which sets the kernel's limit of shared memory first.
template <class... Parameters, class... Args>
cudaError_t Run(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                Args... args) {
  if (grid.x == 0 || grid.y == 0) return cudaSuccess;
  if (shared > (48 << 10)) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel, args...);
}

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_GROUP_CUH_
