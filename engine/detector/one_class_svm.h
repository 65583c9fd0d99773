#ifndef DRIFTSEAL_ENGINE_DETECTOR_ONE_CLASS_SVM_H_
#define DRIFTSEAL_ENGINE_DETECTOR_ONE_CLASS_SVM_H_

#include "kernels/rows.h"
#include "kernels/svm/svm.h"

namespace driftseal::detector {

/// Trained by libsvm, and with more rows by kernels/svm/fit.h on all cores, which solve the same problem, with ν = 0.1
/// and γ = 1 / median ‖x_i − x_j‖² (the median heuristic: Caputo, Sim, Furesjo, Smola 2002; the usual 1/(p·variance)
/// assumes columns that do not correlate). rows.rows >= 2, finite.
kernels::svm::Svm FitOneClassSvm(kernels::RowsView<double> rows);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_ONE_CLASS_SVM_H_
