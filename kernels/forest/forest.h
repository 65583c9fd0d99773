#ifndef DRIFTSEAL_KERNELS_FOREST_FOREST_H_
#define DRIFTSEAL_KERNELS_FOREST_FOREST_H_

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/rows.h"

// Isolation forest (Liu, Ting, Zhou 2008, "Isolation Forest", ICDM, sections 3 and 4).
namespace driftseal::kernels::forest {

/// One node; a leaf has feature == -1. Rows go left when x <= threshold, compared in float32 as scikit-learn does
/// (a double threshold is rounded towards −inf, which decides every float32 x alike). NaN goes right.
struct Node {
  int32_t feature = -1;
  float threshold = 0;
  int32_t left = -1, right = -1;  ///< Indices into the forest's nodes.
  float path = 0;                 ///< Leaf: depth + c(samples in the leaf).
};

/// Trees as indices of their roots in one array of nodes.
struct Forest {
  std::vector<Node> nodes;
  std::vector<uint32_t> roots;
  uint32_t sample_size = 0;  ///< ψ, the rows each tree was grown on; c(ψ) normalises the path length.
};

/// c(n), the mean path length of an unsuccessful search in a binary search tree of n nodes (eq. 1): 2H(n−1) − 2(n−1)/n.
double MeanPath(double n);

/// score = 2^(−E[path] / c(ψ)) in (0, 1]; higher is more anomalous (scikit-learn's −score_samples). `out` has rows.rows
/// entries.
void ScoreReference(const Forest& forest, RowsView<float> rows, std::span<double> out);

struct FitOptions {
  uint32_t trees = 200;
  uint32_t sample_size = 256;  ///< Capped at the number of rows.
  uint64_t seed = 1;
};
/// Grows a forest; deterministic in the seed on every platform. Needs rows.rows >= 2 and finite values.
Forest Fit(RowsView<float> rows, const FitOptions& options);

}  // namespace driftseal::kernels::forest

#endif  // DRIFTSEAL_KERNELS_FOREST_FOREST_H_
