#include "engine/detector/cuda_backend.h"

#include <cstdint>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/device/cuda_module.h"
#include "kernels/ensemble/cuda_view.h"

namespace driftseal::detector {
namespace {

namespace device = kernels::device;
namespace ensemble = kernels::ensemble;

/// Kept alive by the backend and by every model that was uploaded.
struct Gpu {
  device::CudaModule module;
  device::CudaContextPtr context;
  std::string name;
  std::mutex mutex;  // A context is used by one thread at a time.

  explicit Gpu(const std::string& path) : module(path) {}
};

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(std::shared_ptr<Gpu> gpu) : gpu_(std::move(gpu)) {}

  std::string description() const override { return absl::StrCat("cuda (", gpu_->name, ")"); }

  absl::StatusOr<std::unique_ptr<const Prepared>> Prepare(const ensemble::Members& members,
                                                          size_t cols) const override {
    const std::lock_guard lock(gpu_->mutex);
    auto model = std::make_unique<Model>();
    model->gpu = gpu_;
    const ensemble::CudaView view(members, cols);
    int status = 0;
    model->detector = gpu_->module.Upload(gpu_->context.get(), view.model(), &status);
    if (model->detector == nullptr) return Failed("upload", status);
    model->members = members;
    return model;
  }

  absl::Status Score(std::span<const Task> tasks) const override {
    FloatBatch batch(tasks);
    if (absl::Status status = ScoreFloats(batch.call()); !status.ok()) return status;
    for (size_t t = 0; t < tasks.size(); ++t) {
      batch.CopyOut(t, static_cast<const Model*>(tasks[t].detector)->members, tasks[t].out);
    }
    return absl::OkStatus();
  }

  size_t lanes() const override { return 2; }
  bool reads_floats() const override { return true; }

  absl::Status ScoreFloats(const FloatCall& floats) const override {
    const std::lock_guard lock(gpu_->mutex);
    std::vector<device::CudaGroup> groups;
    for (const FloatGroup& group : floats.groups) {
      groups.push_back({static_cast<const Model*>(group.detector)->detector.get(), group.rows});
    }
    device::CudaCall call{groups.data(), groups.size(), floats.values, {}, 0};
    for (size_t m = 0; m < device::kCudaMembers; ++m) call.scores[m] = floats.scores[m];
    const int status = gpu_->module.api().score(gpu_->context.get(), &call);
    return status == 0 ? absl::OkStatus() : Failed("score", status);
  }

 private:
  struct Model : Prepared {
    std::shared_ptr<Gpu> gpu;  // Goes after the detector.
    ensemble::Members members;
    device::CudaDetectorPtr detector;
  };

  absl::Status Failed(const char* what, int status) const {
    return absl::InternalError(absl::StrCat("cuda: ", what, ": ", gpu_->module.api().error_text(status)));
  }

  const std::shared_ptr<Gpu> gpu_;
};

}  // namespace

bool CudaAvailable(const std::string& module) { return !module.empty() && device::CudaModule(module).ready(); }

absl::StatusOr<std::shared_ptr<const Backend>> MakeCudaBackend(const std::string& module) {
  auto gpu = std::make_shared<Gpu>(module);
  if (!gpu->module.ready()) {
    return absl::FailedPreconditionError(absl::StrCat("backend cuda cannot run here: ", gpu->module.remark()));
  }
  int status = 0;
  gpu->context = gpu->module.Open(device::CudaOptions{}, &status);
  if (gpu->context == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("backend cuda cannot run here: ", gpu->module.api().error_text(status)));
  }
  gpu->name = gpu->module.devices().front().name;
  return std::make_shared<CudaBackend>(std::move(gpu));
}

std::string DescribeCrossover(const device::Crossover& crossover) {
  std::string text = crossover.rows == SIZE_MAX
                         ? "no batch finishes sooner on the GPU"
                         : absl::StrCat("batches of ", crossover.rows, " rows and more go to the GPU");
  for (const device::CrossoverPoint& point : crossover.points) {
    absl::StrAppend(&text, "; ", point.rows, " rows: ", static_cast<int64_t>(point.cpu_seconds * 1e6), " us and ",
                    static_cast<int64_t>(point.gpu_seconds * 1e6), " us");
  }
  return text;
}

}  // namespace driftseal::detector
