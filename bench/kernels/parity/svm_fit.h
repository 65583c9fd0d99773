#ifndef DRIFTSEAL_BENCH_KERNELS_PARITY_SVM_FIT_H_
#define DRIFTSEAL_BENCH_KERNELS_PARITY_SVM_FIT_H_

#include <functional>

#include "kernels/rows.h"
#include "parity/parity.h"

namespace driftseal::kernels::parity {

struct SvmProblem {
  RowsView<float> rows;
  double nu, gamma, tolerance;
};
struct SvmSolution {
  std::vector<double> alpha;  ///< One a row.
  double rho = 0, objective = 0;
};
using SvmFitter = std::function<SvmSolution(const SvmProblem&)>;

/// Every hard case through `fit`, against the definition in doubles: the constraints, the KKT conditions within the
/// tolerance and float32's part, 1e-6·ν·n, ρ between what they allow, and the objective. They leave the objective less
/// than (tolerance + 1e-6·ν·n)·ν·n above its least value, so no other solver is needed to compare with.
Outcome CheckSvmFit(const SvmFitter& fit);

}  // namespace driftseal::kernels::parity

#endif  // DRIFTSEAL_BENCH_KERNELS_PARITY_SVM_FIT_H_
