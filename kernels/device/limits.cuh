#ifndef DRIFTSEAL_KERNELS_DEVICE_LIMITS_CUH_
#define DRIFTSEAL_KERNELS_DEVICE_LIMITS_CUH_

#include "kernels/device/cuda_api.h"
#include "kernels/device/group.cuh"

namespace driftseal::kernels::device {

/// Measures the rates that the kernels are held against; takes about a second and 2 GiB of device memory.
cudaError_t MeasureLimits(const DeviceLimits& device, CudaLimits* limits);

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_LIMITS_CUH_
