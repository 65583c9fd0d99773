#ifndef DRIFTSEAL_KERNELS_SVM_FIT_H_
#define DRIFTSEAL_KERNELS_SVM_FIT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/device/isa.h"
#include "kernels/rows.h"
#include "kernels/svm/svm.h"

// Fits the one-class support vector machine of svm.h: Schölkopf et al. 2001, eqs. 5 to 8, in libsvm's scale,
//   min_α ½ αᵀQα   subject to   0 <= α_i <= 1,   Σα = ν·n,   Q_ij = exp(−γ‖x_i − x_j‖²).
namespace driftseal::kernels::svm {

struct FitOptions {
  double nu = 0.5;  ///< In (0, 1].
  double gamma = 1;  ///< Above 0, finite. Where γ·max‖x − mean‖² exceeds 1e37, γ is lowered to that: float32 ends.
  /// Stops when no pair of rows violates the KKT conditions by more: with G = Qα,
  /// max{G_i : α_i > 0} − min{G_i : α_i < 1} <= tolerance, which is libsvm's rule. Above 0. Q is float32, mostly
  /// 2e-7 off (at worst 3e-6, between neighbours far from the mean): in exact arithmetic the violation may be larger by
  /// that part of ν·n.
  double tolerance = 1e-3;
  /// Rows that are optimised together; at least 2. Their kernel matrix, 4·working_set² bytes, is all that is ever held
  /// of Q. The fit holds some 4·cols + 60 bytes a row beyond that, and as much again for the support vectors.
  size_t working_set = 1024;
  uint64_t max_steps = 0;            ///< Steps of two α in all; 0: max(10⁷, 100·n), as in libsvm.
  size_t threads = 0;                ///< 0: all cores. The result does not depend on it.
  const device::Isa* isa = nullptr;  ///< nullptr: the best that runs here. Others differ by rounding.
};

struct FitResult {
  Svm svm;                   ///< The support vectors (α > 0) in the order of the rows; rho as libsvm's.
  std::vector<size_t> rows;  ///< Which rows they are.
  double objective = 0;      ///< ½ αᵀQα
  double violation = 0;      ///< max{G_i : α_i > 0} − min{G_i : α_i < 1}
  uint64_t steps = 0;        ///< Steps of two α,
  uint64_t rounds = 0;       ///< and working sets.
  bool converged = false;    ///< violation <= tolerance
  int error = 0;             ///< A GPU's error (its runtime's number), and then nothing else holds. 0 on a processor.
};

/// Needs rows.rows >= 1 and finite values (NaN and infinities are the caller's mistake; debug builds assert).
/// Deterministic: the same for any number of threads. Where ν = 1 every α is 1 and any rho >= max G fits; it is max G
/// then (libsvm gives +inf).
FitResult Fit(RowsView<double> rows, const FitOptions& options);

}  // namespace driftseal::kernels::svm

#endif  // DRIFTSEAL_KERNELS_SVM_FIT_H_
