#ifndef DRIFTSEAL_BENCH_KERNELS_PARITY_FOREST_H_
#define DRIFTSEAL_BENCH_KERNELS_PARITY_FOREST_H_

#include "kernels/forest/forest.h"
#include "parity/parity.h"

namespace driftseal::kernels::parity {

struct ForestScores {
  std::vector<float> scores;
  std::vector<uint32_t> path_sums;
};
using ForestScorer = std::function<ForestScores(const forest::Forest&, RowsView<float>)>;

/// Every hard case through `score`: path sums equal to forest::PathSumsReference, scores within 2e-6 relative + 1e-37.
Outcome CheckForest(const ForestScorer& score);

/// A forest fitted to normal rows.
forest::Forest RandomForest(Random& random, size_t cols, uint32_t trees, uint32_t sample_size);

}  // namespace driftseal::kernels::parity

#endif  // DRIFTSEAL_BENCH_KERNELS_PARITY_FOREST_H_
