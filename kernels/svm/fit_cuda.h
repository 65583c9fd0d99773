#ifndef DRIFTSEAL_KERNELS_SVM_FIT_CUDA_H_
#define DRIFTSEAL_KERNELS_SVM_FIT_CUDA_H_

#include "kernels/device/cuda_api.h"

namespace driftseal::kernels::svm {

/// CudaApi::fit_svm: fits on the current device with a stream and memory of its own; a context is not needed. The same
/// loop, problems and tolerance as svm::Fit (fit.h), so the same objective; rows are float32 as they come. Needs finite
/// rows, 0 < ν <= 1, γ > 0, tolerance > 0 (kCudaBadArgument) and n < 2³¹. `iterations` 0 takes Fit's limit.
/// Device memory: 4·n·cols + 76·n bytes, and 4·16,384·(cols + 4) + 4 MB for columns and matrix.
int CudaFitSvm(device::CudaSvmFit* fit);

}  // namespace driftseal::kernels::svm

#endif  // DRIFTSEAL_KERNELS_SVM_FIT_CUDA_H_
