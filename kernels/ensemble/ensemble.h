#ifndef DRIFTSEAL_KERNELS_ENSEMBLE_ENSEMBLE_H_
#define DRIFTSEAL_KERNELS_ENSEMBLE_ENSEMBLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "kernels/autoencoder/autoencoder.h"
#include "kernels/device/isa.h"
#include "kernels/forest/forest.h"
#include "kernels/mahalanobis/mahalanobis.h"
#include "kernels/neighbours/neighbours.h"
#include "kernels/rows.h"
#include "kernels/svm/svm.h"
#include "kernels/tile/tile.h"

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

/// All members as the fast variants read them. Immutable, safe to share between threads.
struct Packed {
  size_t cols = 0;
  std::optional<autoencoder::Packed> autoencoder;
  std::optional<forest::Packed> forest;
  std::optional<svm::Packed> svm;
  std::optional<mahalanobis::Packed> mahalanobis;
  std::optional<neighbours::Packed> neighbours;
};
/// `cols`: columns of the rows, which all members read. The forest must be one that forest::WhyUnfit accepts.
Packed Pack(const Members& members, size_t cols);

/// Bytes that one thread works in: a tile of rows, and what the hungriest member needs.
size_t WorkspaceSize(const Packed& packed);

/// Where each member's float32 scores go; null for one that is not there or not wanted.
using FloatScores = std::array<float*, kMembers>;

/// The members' kernels for one instruction set.
struct Kernels {
  tile::FillTile fill = nullptr;
  autoencoder::TileKernel autoencoder = nullptr;
  forest::TileKernel forest = nullptr;
  svm::TileKernel svm = nullptr;
  mahalanobis::TileKernel mahalanobis = nullptr;
  neighbours::TileKernel neighbours = nullptr;
};
Kernels SimdKernels(const device::Isa& isa);

/// One pass over at most tile::kTileRows rows: transposed once, then read by every member while they are in the cache.
/// Each member's error is the one that its own header states. Returns the Highway target of the kernels that ran.
int64_t ScoreTile(const Packed& packed, const Kernels& kernels, RowsView<float> rows, tile::Workspace workspace,
                  const FloatScores& out);

}  // namespace driftseal::kernels::ensemble

#endif  // DRIFTSEAL_KERNELS_ENSEMBLE_ENSEMBLE_H_
