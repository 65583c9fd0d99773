#ifndef DRIFTSEAL_BENCH_KERNELS_PARITY_MAHALANOBIS_H_
#define DRIFTSEAL_BENCH_KERNELS_PARITY_MAHALANOBIS_H_

#include "kernels/mahalanobis/mahalanobis.h"
#include "parity/parity.h"

namespace driftseal::kernels::parity {

using MahalanobisScorer = std::function<std::vector<float>(const mahalanobis::Mahalanobis&, RowsView<float>)>;
/// Every hard case through `score`, against mahalanobis::ScoreReference within 6e-8·score + `of_terms`·t, where
/// t = c‖d‖² + Σ_j |w_j| (v_j·d)². A variant in double is held to of_terms = 1e-12, one in float32 to 1e-5.
Outcome CheckMahalanobis(const MahalanobisScorer& score, double of_terms);

/// A shrunk covariance's form: orthonormal directions, c = `isotropic` and weights between −c and 0, some of them
/// within a millionth of −c; means around `offset`.
mahalanobis::Mahalanobis RandomMahalanobis(Random& random, size_t cols, size_t directions, double isotropic,
                                           double offset);

}  // namespace driftseal::kernels::parity

#endif  // DRIFTSEAL_BENCH_KERNELS_PARITY_MAHALANOBIS_H_
