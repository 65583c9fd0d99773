#ifndef DRIFTSEAL_KERNELS_ENSEMBLE_ENSEMBLE_H_
#define DRIFTSEAL_KERNELS_ENSEMBLE_ENSEMBLE_H_

#include <array>
#include <cstddef>
#include <span>

#include "kernels/autoencoder/autoencoder.h"
#include "kernels/forest/forest.h"
#include "kernels/mahalanobis/mahalanobis.h"
#include "kernels/neighbours/neighbours.h"
#include "kernels/rows.h"
#include "kernels/svm/svm.h"

// One call that scores a tile of rows through all members.
namespace driftseal::kernels::ensemble {

/// The order of members everywhere: in Scores, in a detector's state, in reports.
enum Member : size_t { kAutoencoder, kForest, kSvm, kMahalanobis, kNeighbours };
inline constexpr size_t kMembers = 5;

/// A null pointer is a member that is not there. All read the same columns.
struct Members {
  const autoencoder::Network* autoencoder = nullptr;
  const forest::Forest* forest = nullptr;
  const svm::Svm* svm = nullptr;
  const mahalanobis::Mahalanobis* mahalanobis = nullptr;
  const neighbours::Neighbours* neighbours = nullptr;
};

/// Memory of the caller's, so that a call allocates nothing: at least ScratchSize(members) doubles, and rows × cols
/// floats for the forest (none without one).
struct Workspace {
  std::span<double> scratch;
  std::span<float> narrow;
};
size_t ScratchSize(const Members& members);

/// One span a member, rows.rows long; spans of members that are not there are left alone.
using Scores = std::array<std::span<double>, kMembers>;

/// The float32 nearest to `x`, as scikit-learn casts rows for its trees; beyond float32's range its largest value.
float Narrow(double x);

/// Scores scaled rows. All members read them in double; the forest reads their nearest float32.
void ScoreReference(const Members& members, RowsView<double> rows, const Workspace& workspace, const Scores& out);

}  // namespace driftseal::kernels::ensemble

#endif  // DRIFTSEAL_KERNELS_ENSEMBLE_ENSEMBLE_H_
