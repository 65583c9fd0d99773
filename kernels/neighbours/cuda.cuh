#ifndef DRIFTSEAL_KERNELS_NEIGHBOURS_CUDA_CUH_
#define DRIFTSEAL_KERNELS_NEIGHBOURS_CUDA_CUH_

#include "kernels/device/cuda_api.h"
#include "kernels/device/group.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/tensor.cuh"

// Distance to the nearest reference rows on the GPU: filter on the tensor cores, then refine in double (Seidl, Kriegel
// 1998, SIGMOD), with the bound of kernels/neighbours/neighbours.h.
namespace driftseal::kernels::neighbours {

enum CudaVariant : uint32_t {
  kFilter64,    ///< Filter by inner products; up to 64 columns held in registers.
  kFilterWide,  ///< more: columns pass by in chunks
  kExact,       ///< Every distance in double.
  kCudaVariants,
};
const char* CudaVariantName(uint32_t variant);

int CudaUpload(const device::CudaNeighbours& model, uint64_t cols, int32_t force, const device::DeviceLimits& limits,
               device::Uploader& uploader, device::Member* member);
cudaError_t CudaLaunch(uint32_t variant, const device::Launch& launch, const device::DeviceLimits& limits);

/// Most neighbours: a warp keeps the nearest so far in shared memory.
inline constexpr uint32_t kMostNeighbours = 2048;
/// A lane's vectors of half a tile share one number of the filter: 8 reference rows.
inline constexpr uint32_t kGroupRows = 8, kTileGroups = 8;

/// Pointers are the device's.
struct CudaModel {
  device::TensorModel tensor;  ///< Reference rows s' = scale·(s − centre); side: ‖s'‖²/2, +∞ for rows that fill up.
  const float* exact;          ///< rows × cols
  uint32_t rows, cols, k;
  uint32_t groups;  ///< Of kGroupRows, in the filter: tiles · kTileGroups; 0 without one.
  bool kth;
  float largest_norm;  ///< max ‖s'‖
  float product_error;  ///< |x'·s' as computed − x'·s'| <= product_error·‖x'‖‖s'‖ + absolute_error·(‖x'‖ + ‖s'‖)
  float absolute_error;
};

}  // namespace driftseal::kernels::neighbours

#endif  // DRIFTSEAL_KERNELS_NEIGHBOURS_CUDA_CUH_
