#ifndef DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_ENSEMBLE_H_
#define DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_ENSEMBLE_H_

#include <memory>
#include <vector>

#include "gpu_check_parity.h"
#include "kernels/ensemble/ensemble.h"

namespace driftseal::kernels::gpu_check {

/// One model of each kind over `cols` columns.
struct Models {
  autoencoder::Network autoencoder;
  forest::Forest forest;
  svm::Svm svm;
  mahalanobis::Mahalanobis mahalanobis;
  neighbours::Neighbours neighbours;
  size_t cols = 0;
  ensemble::Members members() const { return {&autoencoder, &forest, &svm, &mahalanobis, &neighbours}; }
};

struct ModelSizes {
  size_t cols = 64;
  uint32_t trees = 100;
  size_t vectors = 1024;
  size_t directions = 32, reference_rows = 4096, k = 5;
  std::vector<size_t> layers = {64, 32, 16, 32, 64};  ///< The first and the last are cols.
};

/// Random models of those sizes; deterministic in the seed.
std::unique_ptr<Models> RandomModels(uint64_t seed, const ModelSizes& sizes);

/// All members in one call against their references: each batch size around the graphs' buckets, from host and device
/// memory, and grouped calls over many detectors.
void CheckEnsemble(const device::CudaApi& api, device::CudaContext* context, bool small,
                   std::vector<ParityResult>* results);

}  // namespace driftseal::kernels::gpu_check

#endif  // DRIFTSEAL_BENCH_KERNELS_GPU_CHECK_ENSEMBLE_H_
