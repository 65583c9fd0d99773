#ifndef DRIFTSEAL_ENGINE_DETECTOR_CUDA_BACKEND_H_
#define DRIFTSEAL_ENGINE_DETECTOR_CUDA_BACKEND_H_

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/detector/kernel_backend.h"
#include "kernels/device/crossover.h"

namespace driftseal::detector {

/// The rows of all tasks as the float32 kernels take them, one after the other, and room for their scores.
class FloatBatch {
 public:
  explicit FloatBatch(std::span<const Task> tasks);
  FloatCall call();
  void CopyOut(size_t task, const kernels::ensemble::Members& members, std::span<RawScores> out) const;

 private:
  size_t rows_ = 0;
  std::vector<size_t> first_row_;
  std::vector<FloatGroup> groups_;
  std::vector<float> values_;
  std::array<std::vector<float>, kernels::ensemble::kMembers> scores_;
};

bool CudaAvailable(const std::string& module);
/// FailedPrecondition where there is no GPU, saying why.
absl::StatusOr<std::shared_ptr<const Backend>> MakeCudaBackend(const std::string& module);

std::string DescribeCrossover(const kernels::device::Crossover& crossover);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_CUDA_BACKEND_H_
