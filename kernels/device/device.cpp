#include "kernels/device/device.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>

namespace driftseal::kernels::device {

CudaProbe ProbeCuda(const std::string& path) {
  CudaProbe probe;
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    probe.remark = "the CUDA module is not installed";
    return probe;
  }
  // Never closed: the CUDA runtime does not survive being unloaded.
  const auto function = reinterpret_cast<CudaProbeFunction>(::dlsym(module, kCudaProbeName));
  if (function == nullptr) {
    probe.remark = path + " is no CUDA module of DriftSeal";
    return probe;
  }
  std::array<CudaDevice, 16> devices{};
  const int count = function(devices.data(), static_cast<int>(devices.size()));
  if (count <= 0) {
    probe.remark =
        count == 0 || count == -100 || count == -35 ? "no GPU or no driver" : "CUDA error " + std::to_string(-count);
    return probe;
  }
  probe.devices.assign(devices.begin(), devices.begin() + std::min<size_t>(static_cast<size_t>(count), devices.size()));
  return probe;
}

}  // namespace driftseal::kernels::device
