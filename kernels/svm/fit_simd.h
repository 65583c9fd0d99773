#ifndef DRIFTSEAL_KERNELS_SVM_FIT_SIMD_H_
#define DRIFTSEAL_KERNELS_SVM_FIT_SIMD_H_

#include <cstddef>
#include <cstdint>

#include "kernels/device/isa.h"

// The loops of the solver (fit.h) that are compiled once per instruction set. Private to this folder.
//
// Every entry of the kernel matrix is the same float32 wherever it is computed: one lane sums over the columns in
// order. So the solver works on one well-defined matrix, and all sums over its entries are doubles.
namespace driftseal::kernels::svm {

/// Rows in blocks of 64 (kernels/tile/tile.h), scaled as in Packed, so that k(x, y) = 2^(x·y − ‖x‖²/2 − ‖y‖²/2).
struct Panel {
  const float* blocks = nullptr;
  const float* norms = nullptr;  ///< −‖x‖²/2 a row
  size_t rows = 0, cols = 0;
  bool differences = false;  ///< Packed::differences
  const float* block(size_t b) const { return blocks + b * cols * 64; }
};

/// One dense sub-problem: min ½αᵀQα + linear, 0 <= α <= 1, Σα fixed. Every array has `stride` entries, a multiple of
/// 64; those from `rows` on belong to no row and have room_up = +inf and room_down = −inf.
struct SubProblem {
  size_t rows = 0, stride = 0;
  const float* matrix = nullptr;  ///< rows × stride; the diagonal is 1 but for a rounding.
  double* alpha = nullptr;
  double* gradient = nullptr;
  double* room_up = nullptr;    ///< 0 where α < 1, else +inf
  double* room_down = nullptr;  ///< 0 where α > 0, else −inf
  double tolerance = 0;         ///< Stops when the largest violation of the KKT conditions is not above it,
  uint64_t limit = 0;           ///< or after so many steps.
};

/// What stands for a curvature that rounding has made zero or less (libsvm's TAU).
inline constexpr double kLeastCurvature = 1e-12;

struct FitKernels {
  /// norms[r] = −‖x‖²/2 of the 64 rows of a block, summed as the products are, so that k(x, x) is 2^0.
  void (*fill_norms)(const float* block, size_t cols, float* norms);
  /// sums[r] += Σ_j weights[j]·k(x_r, s_j) for the rows of `rows`: all of them pass by some columns before the next
  /// ones are fetched, so they should fit into the second-level cache. `weights` has whole blocks, filled up with
  /// zeros, and so has `sums`.
  void (*add_sums)(const Panel& columns, const double* weights, const Panel& rows, double* sums);
  /// matrix[i·stride + 64·b + r] = k(row i, row r of block b) for every row i of the panel.
  void (*fill_matrix)(const Panel& panel, size_t b, size_t stride, float* matrix);
  /// Sequential minimal optimisation with second-order selection (Fan, Chen, Lin 2005, "Working Set Selection Using
  /// Second Order Information for Training Support Vector Machines", JMLR 6, WSS 2). Returns the number of steps.
  uint64_t (*solve)(const SubProblem& problem);
};
FitKernels FitKernelsFor(const device::Isa& isa);

}  // namespace driftseal::kernels::svm

#endif  // DRIFTSEAL_KERNELS_SVM_FIT_SIMD_H_
