#include "kernels/device/cuda_module.h"

#include <dlfcn.h>

#include <utility>

namespace driftseal::kernels::device {

CudaModule::CudaModule(const std::string& path) {
  CudaProbe probe = ProbeCuda(path);
  if (probe.devices.empty()) {
    remark_ = probe.remark;
    return;
  }
  devices_ = std::move(probe.devices);
  // ProbeCuda has loaded it: this finds the same module again.
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const auto function = module == nullptr ? nullptr : reinterpret_cast<CudaApiFunction>(::dlsym(module, kCudaApiName));
  api_ = function == nullptr ? nullptr : function(kCudaApiVersion);
  if (api_ == nullptr) remark_ = path + " is a CUDA module of another version";
}

CudaContextPtr CudaModule::Open(const CudaOptions& options, int* status) const {
  CudaContext* context = nullptr;
  *status = api_->open(&options, &context);
  return {context, CloseContext{api_}};
}

CudaDetectorPtr CudaModule::Upload(CudaContext* context, const CudaModel& model, int* status) const {
  CudaDetector* detector = nullptr;
  *status = api_->upload(context, &model, &detector);
  return {detector, ReleaseDetector{api_}};
}

}  // namespace driftseal::kernels::device
