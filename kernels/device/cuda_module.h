#ifndef DRIFTSEAL_KERNELS_DEVICE_CUDA_MODULE_H_
#define DRIFTSEAL_KERNELS_DEVICE_CUDA_MODULE_H_

#include <memory>
#include <string>
#include <vector>

#include "kernels/device/cuda_api.h"
#include "kernels/device/device.h"

// The CUDA module as the rest of the program sees it: loaded at run time, absent without harm.
namespace driftseal::kernels::device {

struct CloseContext {
  const CudaApi* api = nullptr;
  void operator()(CudaContext* context) const { api->close(context); }
};
struct ReleaseDetector {
  const CudaApi* api = nullptr;
  void operator()(CudaDetector* detector) const { api->release(detector); }
};
using CudaContextPtr = std::unique_ptr<CudaContext, CloseContext>;
using CudaDetectorPtr = std::unique_ptr<CudaDetector, ReleaseDetector>;

class CudaModule {
 public:
  /// Loads libdriftseal_cuda.so at `path`; never fails, see ready() and remark(). The module stays loaded to the end of
  /// the process: the CUDA runtime does not survive being unloaded.
  explicit CudaModule(const std::string& path);

  /// Whether there is a module, a driver and at least one GPU.
  bool ready() const { return api_ != nullptr; }
  const std::vector<CudaDevice>& devices() const { return devices_; }
  const std::string& remark() const { return remark_; }  ///< Why not ready: no module, no driver, another version.
  const CudaApi& api() const { return *api_; }           ///< Only where ready().

  /// Null on failure, with the reason in `status` (CudaApi::error_text).
  CudaContextPtr Open(const CudaOptions& options, int* status) const;
  /// `context` must outlive the detector where it is the one that scores with it.
  CudaDetectorPtr Upload(CudaContext* context, const CudaModel& model, int* status) const;

 private:
  const CudaApi* api_ = nullptr;
  std::vector<CudaDevice> devices_;
  std::string remark_;
};

}  // namespace driftseal::kernels::device

#endif  // DRIFTSEAL_KERNELS_DEVICE_CUDA_MODULE_H_
