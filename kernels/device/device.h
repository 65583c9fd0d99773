#ifndef DRIFTSEAL_KERNELS_DEVICE_DEVICE_H_
#define DRIFTSEAL_KERNELS_DEVICE_DEVICE_H_

#include <cstdint>
#include <string>
#include <vector>

// What this machine can compute with. The CUDA part lives in a module of its own (libdriftseal_cuda.so) that is loaded
// at run time, so that one package runs with and without a GPU, a driver or a CUDA runtime.
namespace driftseal::kernels::device {

/// One entry of the module's answer, a plain struct because it crosses a C interface.
struct CudaDevice {
  char name[128];
  int32_t compute_capability;  ///< 90 for sm_90.
  int32_t multiprocessors;
  uint64_t memory_bytes;
};

struct CudaProbe {
  std::vector<CudaDevice> devices;
  std::string remark;  ///< Why there are none: module not built, no driver, ...
};

/// Loads the module at `path` and asks it for its devices; never fails, see `remark`.
CudaProbe ProbeCuda(const std::string& path);

/// The module's one function so far: fills at most `capacity` devices and returns how many there are, or the negated
/// CUDA error (35: no driver, or one that is too old).
using CudaProbeFunction = int (*)(CudaDevice* devices, int capacity);
inline constexpr char kCudaProbeName[] = "driftseal_cuda_probe";

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_DEVICE_H_
