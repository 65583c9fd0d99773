#ifndef DRIFTSEAL_KERNELS_SVM_SVM_H_
#define DRIFTSEAL_KERNELS_SVM_SVM_H_

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/rows.h"

// One-class support vector machine with a Gaussian kernel (Schölkopf, Platt, Shawe-Taylor, Smola, Williamson 2001,
// "Estimating the Support of a High-Dimensional Distribution", Neural Computation 13:7, eqs. 8 and 10).
namespace driftseal::kernels::svm {

/// `alpha.size()` support vectors of `cols` values each.
struct Svm {
  size_t cols = 0;
  std::vector<double> vectors;  ///< alpha.size() × cols, row-major.
  std::vector<double> alpha;    ///< Dual coefficients, in libsvm's scale (0 < α <= 1, Σα = ν·rows).
  double gamma = 1, rho = 0;
};

/// score = ρ − Σ_i α_i exp(−γ‖x − s_i‖²); above 0 outside the support (the negative of libsvm's and scikit-learn's
/// decision function, so that higher is more anomalous). rows.cols == svm.cols; `out` has rows.rows entries.
void ScoreReference(const Svm& svm, RowsView<double> rows, std::span<double> out);

}  // namespace driftseal::kernels::svm

#endif  // DRIFTSEAL_KERNELS_SVM_SVM_H_
