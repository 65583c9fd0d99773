#ifndef DRIFTSEAL_KERNELS_SVM_CUDA_CUH_
#define DRIFTSEAL_KERNELS_SVM_CUDA_CUH_

#include "kernels/device/cuda_api.h"
#include "kernels/device/group.cuh"
#include "kernels/device/memory.cuh"
#include "kernels/device/tensor.cuh"

// The one-class SVM on the GPU. Scores are within 1e-5·Σ|α| of ScoreReference.
namespace driftseal::kernels::svm {

enum CudaVariant : uint32_t {
  kTensor16,     ///< Tensor cores, fp16 split in two, up to 16 columns held in registers.
  kTensor32,     ///< up to 32
  kTensor64,     ///< up to 64
  kTensorWide,   ///< more: columns pass by in chunks
  kMultiplyAdd,  ///< float32 inner products
  kDifferences,  ///< float32 sums of squared differences
  kCudaVariants,
};
const char* CudaVariantName(uint32_t variant);

/// Packs a model and copies it. `force` < 0 takes the fastest variant that holds the bound.
int CudaUpload(const device::CudaSvm& svm, uint64_t cols, int32_t force, const device::DeviceLimits& limits,
               device::Uploader& uploader, device::Member* member);
cudaError_t CudaLaunch(uint32_t variant, const device::Launch& launch, const device::DeviceLimits& limits);

/// A model as the kernels read it; pointers are the device's. See svm.h, Packed, for the arithmetic.
struct CudaModel {
  /// Tensor variants: s' and α·2^(−‖s'‖²/2). The others use centre, scale, cols and tiles of it, and `side` is α.
  device::TensorModel tensor;
  const float* blocks;  ///< The others: s' in blocks of 64 (kernels/device/product.cuh).
  const float* norms;   ///< The others: −‖s'‖²/2 a vector, to the end of the last block.
  float far;            ///< Rows of larger ‖x'‖² are so far from every vector that they score ρ.
  double rho;
};

}  // namespace driftseal::kernels::svm

#endif  // DRIFTSEAL_KERNELS_SVM_CUDA_CUH_
