#ifndef DRIFTSEAL_BENCH_KERNELS_PARITY_SVM_H_
#define DRIFTSEAL_BENCH_KERNELS_PARITY_SVM_H_

#include "kernels/svm/svm.h"
#include "parity/parity.h"

namespace driftseal::kernels::parity {

using SvmScorer = std::function<std::vector<float>(const svm::Svm&, RowsView<float>)>;
/// Every hard case through `score`, against svm::ScoreReference within 1e-5·Σ|α|.
Outcome CheckSvm(const SvmScorer& score);

/// A model with `vectors` normal support vectors (offset by `offset`) and γ = `gamma`/cols.
svm::Svm RandomSvm(Random& random, size_t vectors, size_t cols, double gamma, double offset);

}  // namespace driftseal::kernels::parity

#endif  // DRIFTSEAL_BENCH_KERNELS_PARITY_SVM_H_
