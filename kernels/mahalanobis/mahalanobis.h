#ifndef DRIFTSEAL_KERNELS_MAHALANOBIS_MAHALANOBIS_H_
#define DRIFTSEAL_KERNELS_MAHALANOBIS_MAHALANOBIS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/device/isa.h"
#include "kernels/rows.h"
#include "kernels/tile/tile.h"

// Squared Mahalanobis distance (Mahalanobis 1936) with the precision matrix in spectral form.
namespace driftseal::kernels::mahalanobis {

/// P = c·I + Σ_j w_j v_j v_jᵀ. A shrunk covariance (1−a)·S + a·m·I of n rows has that form with at most n−1 directions:
/// c = 1/(a·m), v_j the eigenvectors of S with eigenvalues λ_j > 0, w_j = 1/((1−a)λ_j + a·m) − c. With fewer rows than
/// columns, the usual case here, it is smaller and faster than a triangular factor.
struct Mahalanobis {
  std::vector<double> mean;        ///< cols
  double isotropic = 1;            ///< c
  std::vector<double> directions;  ///< weights.size() × cols, row-major: v_j
  std::vector<double> weights;     ///< w_j, not positive for a shrunk covariance
};

/// score = max(0, dᵀ P d) with d = x − mean. rows.cols == mean.size(); `out` has rows.rows entries.
void ScoreReference(const Mahalanobis& model, RowsView<double> rows, std::span<double> out);

/// How dᵀ P d spreads over the columns: out_i = d_i (P d)_i, which sum to it; an entry may be negative. `out` has
/// mean.size() entries and `row` is finite.
void ContributionsReference(const Mahalanobis& model, const double* row, std::span<double> out);

/// A model as the variants that score float32 rows read it. Where w_j < 0, c‖d‖² and the sum cancel: of a row that
/// lies along the data's own directions, 1 part in c/(c + w_j) is left. Float32 would lose three digits or more there,
/// so arithmetic is in double, at half the rate; this member is the ensemble's cheapest all the same. Immutable.
struct Packed {
  size_t cols = 0, directions = 0;
  double isotropic = 1;           ///< c
  tile::Aligned<double> mean;     ///< cols
  tile::Aligned<double> blocks;   ///< v_j in blocks of 64, as kernels/tile/tile.h has rows; zeros fill up the last.
  tile::Aligned<double> weights;  ///< w_j, to the end of the last block.
};
Packed Pack(const Mahalanobis& model);

/// Bytes that a TileKernel works in.
size_t WorkspaceSize(const Packed& model);

/// Scores tile.rows rows into `out`. With n columns and the terms t = c‖d‖² + Σ_j |w_j| (v_j·d)², every one of which is
/// off by at most 2n roundings of 2^-53, and one rounding to float32 at the end,
///   |error| <= 6e-8·score + 1e-12·t        (n <= 4096)
/// against ScoreReference. Returns the Highway target it was compiled for, which proves the variant that ran.
using TileKernel = int64_t (*)(const Packed& model, const tile::Tile& tile, tile::Workspace workspace, float* out);
TileKernel SimdKernel(const device::Isa& isa);

}  // namespace driftseal::kernels::mahalanobis

#endif  // DRIFTSEAL_KERNELS_MAHALANOBIS_MAHALANOBIS_H_
