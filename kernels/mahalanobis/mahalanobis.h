#ifndef DRIFTSEAL_KERNELS_MAHALANOBIS_MAHALANOBIS_H_
#define DRIFTSEAL_KERNELS_MAHALANOBIS_MAHALANOBIS_H_

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/rows.h"

// Squared Mahalanobis distance (Mahalanobis 1936) with the precision matrix in spectral form.
namespace driftseal::kernels::mahalanobis {

/// P = c·I + Σ_j w_j v_j v_jᵀ. A shrunk covariance (1−a)·S + a·m·I of n rows has that form with at most n−1 directions:
/// c = 1/(a·m), v_j the eigenvectors of S with eigenvalues λ_j > 0, w_j = 1/((1−a)λ_j + a·m) − c. With fewer rows than
/// columns, the usual case here, it is smaller and faster than a triangular factor.
struct Mahalanobis {
  std::vector<double> mean;        ///< cols
  double isotropic = 1;            ///< c
  std::vector<double> directions;  ///< weights.size() × cols, row-major: v_j
  std::vector<double> weights;     ///< w_j, not positive for a shrunk covariance
};

/// score = max(0, dᵀ P d) with d = x − mean. rows.cols == mean.size(); `out` has rows.rows entries.
void ScoreReference(const Mahalanobis& model, RowsView<double> rows, std::span<double> out);

/// How dᵀ P d spreads over the columns: out_i = d_i (P d)_i, which sum to it; an entry may be negative. `out` has
/// mean.size() entries and `row` is finite.
void ContributionsReference(const Mahalanobis& model, const double* row, std::span<double> out);

}  // namespace driftseal::kernels::mahalanobis

#endif  // DRIFTSEAL_KERNELS_MAHALANOBIS_MAHALANOBIS_H_
