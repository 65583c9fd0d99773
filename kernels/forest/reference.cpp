#include <cassert>
#include <cmath>
#include <numbers>

#include "kernels/forest/forest.h"

namespace driftseal::kernels::forest {

double MeanPath(double n) {
  // The values below 3 are scikit-learn's: the formula's approximation of H(n−1) by ln + γ is no good there.
  if (n <= 1) return 0;
  if (n <= 2) return 1;
  return 2 * (std::log(n - 1) + std::numbers::egamma) - 2 * (n - 1) / n;
}

static const Node& Leaf(const Forest& forest, uint32_t root, const float* row) {
  const Node* node = &forest.nodes[root];
  while (node->feature >= 0) {
    const bool left = row[node->feature] <= node->threshold;  // false for NaN
    node = &forest.nodes[static_cast<size_t>(left ? node->left : node->right)];
  }
  return *node;
}

void PathSumsReference(const Forest& forest, RowsView<float> rows, std::span<uint32_t> out) {
  assert(out.size() == rows.rows);
  for (size_t r = 0; r < rows.rows; ++r) {
    out[r] = 0;
    for (uint32_t root : forest.roots) out[r] += FixedPath(Leaf(forest, root, rows.row(r)).path);
  }
}

void ScoreReference(const Forest& forest, RowsView<float> rows, std::span<double> out) {
  assert(out.size() == rows.rows);
  // c(1) = 0: a forest grown on single rows cannot tell rows apart. scikit-learn scores 2^-1 then.
  const double norm = MeanPath(forest.sample_size) * static_cast<double>(forest.roots.size()) * kPathUnit;
  for (size_t r = 0; r < rows.rows; ++r) {
    uint32_t path = 0;
    PathSumsReference(forest, {rows.row(r), 1, rows.cols}, {&path, 1});
    out[r] = norm > 0 ? std::exp2(-static_cast<double>(path) / norm) : 0.5;
  }
}

}  // namespace driftseal::kernels::forest
