#ifndef DRIFTSEAL_ENGINE_DETECTOR_SHRINKAGE_H_
#define DRIFTSEAL_ENGINE_DETECTOR_SHRINKAGE_H_

#include "kernels/mahalanobis/mahalanobis.h"
#include "kernels/rows.h"

namespace driftseal::detector {

/// Mean and shrunk covariance (1−a)·S + a·m·I, m = tr(S)/p, with the intensity a of Ledoit and Wolf 2004 ("A
/// well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate Analysis 88:2; lemma 3.2
/// to 3.4). Fewer rows than columns is the usual case. rows.rows >= 2, finite.
kernels::mahalanobis::Mahalanobis FitMahalanobis(kernels::RowsView<double> rows);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_SHRINKAGE_H_
