#ifndef DRIFTSEAL_KERNELS_AUTOENCODER_CUDA_CUH_
#define DRIFTSEAL_KERNELS_AUTOENCODER_CUDA_CUH_

#include "kernels/device/cuda_api.h"
#include "kernels/device/group.cuh"
#include "kernels/device/memory.cuh"

// Reconstruction error on the GPU, all layers in one launch; scores are within 1e-5 of score + mean x².
namespace driftseal::kernels::autoencoder {

enum CudaVariant : uint32_t {
  kOnChip,  ///< Layers up to 128 wide: activations stay in shared memory.
  kWide,    ///< Any: activations pass through device memory.
  kCudaVariants,
};
const char* CudaVariantName(uint32_t variant);

int CudaUpload(const device::CudaNetwork& network, uint64_t cols, int32_t force, const device::DeviceLimits& limits,
               device::Uploader& uploader, device::Member* member);
cudaError_t CudaLaunch(uint32_t variant, const device::Launch& launch, const device::DeviceLimits& limits);

inline constexpr uint32_t kOnChipWidth = 128;

/// Pointers are the device's.
struct CudaWeights {
  const float* blocks;  ///< inputs × 64 for each 64 outputs (kernels/device/product.cuh).
  const float* bias;    ///< To the end of the last block.
  uint32_t inputs, outputs;
  int32_t activation;  ///< device::CudaLayer::activation
};
struct CudaModel {
  const CudaWeights* layers;
  uint32_t count, cols;
  uint32_t width;  ///< Of the widest layer's outputs.
};

}  // namespace driftseal::kernels::autoencoder

#endif  // DRIFTSEAL_KERNELS_AUTOENCODER_CUDA_CUH_
