// The CUDA module's entry points. With a C interface, since it is loaded by dlopen.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstring>

#include "kernels/device/device.h"

using driftseal::kernels::device::CudaDevice;

extern "C" __attribute__((visibility("default"))) int driftseal_cuda_probe(CudaDevice* devices, int capacity) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return -static_cast<int>(error);
  for (int i = 0; i < std::min(count, capacity); ++i) {
    cudaDeviceProp properties{};
    if (const cudaError_t failed = cudaGetDeviceProperties(&properties, i); failed != cudaSuccess)
      return -static_cast<int>(failed);
    const size_t length = std::min(std::strlen(properties.name), sizeof(devices[i].name) - 1);
    std::memcpy(devices[i].name, properties.name, length);
    devices[i].name[length] = '\0';
    devices[i].compute_capability = 10 * properties.major + properties.minor;
    devices[i].multiprocessors = properties.multiProcessorCount;
    devices[i].memory_bytes = properties.totalGlobalMem;
  }
  return count;
}
