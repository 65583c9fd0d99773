#ifndef DRIFTSEAL_KERNELS_NEIGHBOURS_NEIGHBOURS_H_
#define DRIFTSEAL_KERNELS_NEIGHBOURS_NEIGHBOURS_H_

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/rows.h"

// Distance to the nearest reference rows (Ramaswamy, Rastogi, Shim 2000, SIGMOD, for the k-th; Angiulli, Pizzuti 2002,
// PKDD, for the mean).
namespace driftseal::kernels::neighbours {

enum class Distance {
  kMean,  ///< Mean of the distances to the k nearest.
  kKth,   ///< Distance to the k-th nearest.
};

struct Neighbours {
  size_t cols = 0;
  std::vector<double> reference;  ///< rows × cols, row-major.
  size_t k = 5;                   ///< 1 <= k <= rows.
  Distance distance = Distance::kMean;

  size_t rows() const { return cols == 0 ? 0 : reference.size() / cols; }
};

/// Doubles that ScoreReference needs beside its result.
size_t ScratchSize(const Neighbours& model);

/// Euclidean distance as `model.distance` says. rows.cols == model.cols; `out` has rows.rows entries and `scratch` at
/// least ScratchSize(model).
void ScoreReference(const Neighbours& model, RowsView<double> rows, std::span<double> scratch, std::span<double> out);

}  // namespace driftseal::kernels::neighbours

#endif  // DRIFTSEAL_KERNELS_NEIGHBOURS_NEIGHBOURS_H_
