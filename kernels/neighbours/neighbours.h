#ifndef DRIFTSEAL_KERNELS_NEIGHBOURS_NEIGHBOURS_H_
#define DRIFTSEAL_KERNELS_NEIGHBOURS_NEIGHBOURS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/device/isa.h"
#include "kernels/rows.h"
#include "kernels/tile/tile.h"

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

/// A model as the float32 variants read it: filter, then refine (Seidl, Kriegel 1998, SIGMOD). A cheap distance finds
/// the reference rows that may be among the k nearest, a distance in double precision decides. No neighbour is missed:
///
/// Row x and reference row s become points x°, s° of a grid of unit u around the mean of the reference rows, in signed
/// bytes; e_x = ‖x − x°‖ is known, and ‖s − s°‖ <= E. By the triangle inequality |‖x − s‖ − ‖x° − s°‖| <= e_x + E =: ε.
/// The k rows whose grid distances are least are first: the k-th nearest row is at most as far away as the furthest of
/// them truly is, T. Every reference row within T has a grid distance <= T + ε, and those are refined. ‖x° − s°‖² is an
/// integer: it is got exactly, in 16 bits, 64 products an instruction. Where bytes are too coarse (many columns, heavy
/// tails, rows far outside) the filter is the inner product in float32, with its rounding (Higham 2002, "Accuracy and
/// Stability of Numerical Algorithms", section 3.1) in the place of ε.
///
/// Immutable; about 9 bytes a value of Neighbours::reference.
struct Packed {
  size_t cols = 0, rows = 0, k = 0;
  Distance distance = Distance::kMean;
  /// Reference rows as float32, row-major, each padded with zeros to `stride`. Those that the grid holds come first.
  tile::Aligned<float> exact;
  size_t stride = 0;
  tile::Aligned<float> centre;  ///< cols

  // The filter in bytes, over the first `regular` reference rows; the others, few, are always refined.
  bool levels = false;  ///< Whether bytes filter well enough on these reference rows.
  size_t regular = 0;
  float inverse_unit = 0;       ///< 1/u
  float level_error = 0;        ///< E/u
  float largest_row_level = 0;  ///< The largest ‖x°‖/u for which ‖x° − s°‖²/u² stays below 2^17 for every s.
  /// Blocks of 32 reference rows: columns 4q..4q+3 of row i of a block as bytes at [(q·32 + i)·4], each kLevels added.
  tile::Aligned<uint8_t> grid;
  tile::Aligned<int32_t> grid_norms;  ///< −⌊‖s°‖²/(2u²)⌋ modulo 2^16
  int filling_norm = 0;               ///< The same, positive, of rows that fill up: as far away as 16 bits can tell.

  // The filter in float32, over all reference rows.
  float largest_norm = 0;       ///< max ‖s − c‖; +inf where squares would overflow: then all rows are refined.
  tile::Aligned<float> blocks;  ///< s − c in blocks of 64 (kernels/tile/tile.h)
  tile::Aligned<float> norms;   ///< −‖s − c‖²/2; −FLT_MAX for rows that fill up.
};
Packed Pack(const Neighbours& model);

/// Grid points are −kLevels..kLevels in each column: 2·kLevels·kLevels·2 fits a signed 16-bit sum of two products.
inline constexpr int kLevels = 90;

/// Bytes that a TileKernel works in.
size_t WorkspaceSize(const Packed& model);

/// Scores tile.rows rows into `out`. Distances are summed in double from float32 rows, so against ScoreReference
///   |error| <= 1e-6·d + 6e-8·‖s‖
/// where d is the score and ‖s‖ the norm of the longest of the reference rows: rounding them to float32 costs at most
/// 2^-24·‖s‖, and nothing where they are float32 already; no cancellation, so a row's distance to itself is 0.
/// Returns the Highway target it was compiled for, which proves the variant that ran.
using TileKernel = int64_t (*)(const Packed& model, const tile::Tile& tile, tile::Workspace workspace, float* out);
TileKernel SimdKernel(const device::Isa& isa);
/// The same without instructions that Highway does not know of (AVX-512 VNNI): what an older processor runs.
TileKernel PlainSimdKernel(const device::Isa& isa);

}  // namespace driftseal::kernels::neighbours

#endif  // DRIFTSEAL_KERNELS_NEIGHBOURS_NEIGHBOURS_H_
