#ifndef DRIFTSEAL_KERNELS_ENSEMBLE_CUDA_VIEW_H_
#define DRIFTSEAL_KERNELS_ENSEMBLE_CUDA_VIEW_H_

#include <vector>

#include "kernels/device/cuda_api.h"
#include "kernels/ensemble/ensemble.h"

namespace driftseal::kernels::ensemble {

/// An ensemble's members as the CUDA module takes them. Points into the members, which must outlive it.
class CudaView {
 public:
  /// `cols`: columns of the rows that all members read.
  CudaView(const Members& members, size_t cols);
  CudaView(const CudaView&) = delete;
  CudaView& operator=(const CudaView&) = delete;

  const device::CudaModel& model() const { return model_; }
  /// Takes a variant for a member in place of the fastest one (CudaApi::variant_name).
  void Force(Member member, int32_t variant) { model_.force[member] = variant; }
  /// Has the forest give its path sums, as the bits of uint32, in the place of scores: for tests.
  void WantPathSums() { forest_.norm = -1; }

 private:
  std::vector<device::CudaLayer> layers_;
  device::CudaNetwork network_{};
  device::CudaForest forest_{};
  device::CudaSvm svm_{};
  device::CudaMahalanobis mahalanobis_{};
  device::CudaNeighbours neighbours_{};
  device::CudaModel model_{};
};

}  // namespace driftseal::kernels::ensemble

#endif  // DRIFTSEAL_KERNELS_ENSEMBLE_CUDA_VIEW_H_
