#ifndef DRIFTSEAL_KERNELS_SVM_FIT_CUDA_CUH_
#define DRIFTSEAL_KERNELS_SVM_FIT_CUDA_CUH_

#include <cuda_runtime.h>

#include <cstdint>

// The solver's kernels (fit_cuda_sums.cu, fit_cuda_set.cu) and their launchers. All pointers are the device's. As on
// the processor, an entry of the kernel matrix is the same float32 wherever it is computed, k(x, x) is 2^0, sums
// over entries are doubles, and every sum has a fixed order: a fit gives the same bits every time.
namespace driftseal::kernels::svm {

inline constexpr uint32_t kFitBlock = 64;  ///< Rows of a block of FitRows.
inline constexpr uint32_t kFitMostRowTiles =
    1056;  ///< Blocks of threads that a sum is spread over, where rows are few.
inline constexpr uint32_t kFitRowTile = 128;

/// Rows in blocks of 64, feature-major within a block (FitRows).
struct CudaFitPanel {
  float* blocks;
  float* norms;  ///< −‖x‖²/2, to the end of the last block.
  uint32_t rows, cols;
  bool differences;
};
/// norms of a panel's rows.
cudaError_t CudaFitNorms(const CudaFitPanel& panel, cudaStream_t stream);
/// Copies rows chosen[0, to.rows) of `from` to `to`, and fills its last block up with zeros, in `weights` too.
cudaError_t CudaFitGather(const CudaFitPanel& from, const uint32_t* chosen, const CudaFitPanel& to, double* weights,
                          cudaStream_t stream);
/// sums[r] += Σ_j weights[j]·k(x_r, s_j). `partial` has max(kFitMostRowTiles, tiles of 128 rows) · 128 doubles.
cudaError_t CudaFitSums(const CudaFitPanel& columns, const double* weights, const CudaFitPanel& rows, double* partial,
                        double* sums, cudaStream_t stream);
/// matrix[i·stride + j] = k(x_i, x_j) of the panel's rows; stride is their number rounded up to 64.
cudaError_t CudaFitMatrix(const CudaFitPanel& panel, float* matrix, cudaStream_t stream);

/// What goes back to the host in each round.
struct CudaFitReport {
  double up, down;  ///< FitBounds
  uint64_t steps;
  uint32_t set_size, changed;
};

/// Arrays of `rows` entries.
struct CudaFitState {
  double *alpha, *gradient;
  double *up_key, *down_key, *up_sorted, *down_sorted;
  uint32_t *index, *up_order, *down_order, *position;
  uint32_t rows;
};
/// FitBackend::Select: fills `set` and report->{up, down, set_size}. `scratch` as CudaFitSelectScratch says.
cudaError_t CudaFitSelect(const CudaFitState& state, uint32_t working_set, uint32_t* set, CudaFitReport* report,
                          void* scratch, size_t scratch_bytes, cudaStream_t stream);
size_t CudaFitSelectScratch(uint32_t rows);

struct CudaFitProblem {
  const float* matrix;
  const uint32_t* set;
  uint32_t rows, stride;
  double tolerance;
  uint64_t limit;
};
inline constexpr uint32_t kCudaFitMostSet = 4096;  ///< α and G of a working set lie in shared memory, 16 bytes a row.
/// Sequential minimal optimisation of a working set, and α brought up to date. The rows whose α changed go to chosen,
/// by how much to weights; report->{steps, changed}.
cudaError_t CudaFitSolve(const CudaFitState& state, const CudaFitProblem& problem, uint32_t* chosen, double* weights,
                         CudaFitReport* report, cudaStream_t stream);

}  // namespace driftseal::kernels::svm

#endif  // DRIFTSEAL_KERNELS_SVM_FIT_CUDA_CUH_
