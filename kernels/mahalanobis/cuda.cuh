#ifndef DRIFTSEAL_KERNELS_MAHALANOBIS_CUDA_CUH_
#define DRIFTSEAL_KERNELS_MAHALANOBIS_CUDA_CUH_

#include "kernels/device/cuda_api.h"
#include "kernels/device/group.cuh"
#include "kernels/device/memory.cuh"

// Squared Mahalanobis distance on the GPU, float32 on the multiply-add pipes; scores are within 1e-5 of the sum of the
// terms' sizes, c‖d‖² + Σ|w_j|(v_j·d)².
namespace driftseal::kernels::mahalanobis {

enum CudaVariant : uint32_t { kMultiplyAdd, kCudaVariants };
const char* CudaVariantName(uint32_t variant);

int CudaUpload(const device::CudaMahalanobis& model, uint64_t cols, int32_t force, const device::DeviceLimits& limits,
               device::Uploader& uploader, device::Member* member);
cudaError_t CudaLaunch(uint32_t variant, const device::Launch& launch, const device::DeviceLimits& limits);

/// Pointers are the device's.
struct CudaModel {
  const float* mean_high;  ///< The mean as a sum of two float32: a row far from the origin keeps its digits.
  const float* mean_low;
  const float* blocks;   ///< v_j in blocks of 64 (kernels/device/product.cuh).
  const float* weights;  ///< w_j; 0 for directions that fill up.
  float isotropic;
  uint32_t cols, tiles;
};

}  // namespace driftseal::kernels::mahalanobis

#endif  // DRIFTSEAL_KERNELS_MAHALANOBIS_CUDA_CUH_
