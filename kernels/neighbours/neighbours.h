#ifndef DRIFTSEAL_KERNELS_NEIGHBOURS_NEIGHBOURS_H_
#define DRIFTSEAL_KERNELS_NEIGHBOURS_NEIGHBOURS_H_

#include <array>
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

/// Grid points are −kLevels..kLevels in each column: 2·kLevels·kLevels·2 fits a signed 16-bit sum of two products.
inline constexpr int kLevels = 90;
/// A row may be put on the grid 4^0 .. 4^(kCoarser − 1) times coarser than the reference rows are.
inline constexpr size_t kCoarser = 3;

/// Reference rows as points of a grid, seen from one place. The derivation stands before Packed.
struct Frame {
  size_t quads = 0;   ///< Four columns each; 0: no frame.
  size_t axes = 0;    ///< Coordinates in columns 0 .. axes − 1.
  bool rest = false;  ///< Whether column `axes` holds the length of what they leave out, less rest_centre.
  size_t width = 0;   ///< Floats of a rotated row: its coordinates, then those along the segments' directions.
  tile::Aligned<float> centre;    ///< Packed::cols
  tile::Aligned<float> rotation;  ///< Direction a, column c at [c·width + a]; empty where rows are not rotated.
  float rest_centre = 0;
  float inverse_unit = 0;  ///< 1/u
  float level_error = 0;   ///< E/u
  /// Rounding in float32, of a row z = x − c: its coordinates are off by coordinate_error·‖z‖, the square of the rest
  /// by norm_error·‖z‖², a coordinate along a segment's direction by key_error·‖z‖.
  float coordinate_error = 0, norm_error = 0, key_error = 0;
  /// The largest ‖x°‖, in units of the 4^i times coarser grid, for which the values fit 16 bits.
  std::array<float, kCoarser> reach = {};

  bool in_steps = false;  ///< Whether it saves time to measure the nearest on the grid first, then look for candidates.
  size_t own = 0;         ///< Rows at places 0 .. own − 1: all, or the home's.
  /// Blocks of 32 places: columns 4q..4q+3 of place i of a block as bytes at [(q·32 + i)·4], each kLevels added.
  tile::Aligned<uint8_t> grid;
  tile::Aligned<int32_t> norms;  ///< −⌊‖s°‖²/(2u²)⌋; −filling_norm of places that fill up.
  tile::Aligned<uint32_t> rows;  ///< Row in Packed::exact; kNoRow of places that fill up.
  int filling_norm = 0;          ///< As far away as 16 bits can tell.

  struct Segment {
    size_t first = 0, blocks = 0;  ///< In blocks of 32 places.
  };
  std::vector<Segment> segments;  ///< Another home's rows each, ascending along the direction that leads there.
  tile::Aligned<float> least;     ///< By block of 32 places: the least of its rows' coordinates along that direction.
};
inline constexpr uint32_t kNoRow = 0xFFFFFFFF;

/// A model as the float32 variants read it: filter, then refine (Seidl, Kriegel 1998, SIGMOD). A cheap distance finds
/// the reference rows that may be among the k nearest, a distance in double precision decides. No neighbour is missed:
///
/// **Fewer columns.** A frame has a centre c and m orthonormal axes. P(x) = (the coordinates of x − c along them, the
/// length of what they leave out). ‖P(x) − P(s)‖ <= ‖x − s‖: the coordinates' differences are those of x − s, and
/// lengths differ by at most the length of the difference. With the principal axes of the reference rows, m + 1 columns
/// say nearly as much as all.
///
/// **Bytes.** P(x) and P(s) become points x°, s° of a grid of unit u, in signed bytes; e_x = ‖P(x) − x°‖ is known, and
/// ‖P(s) − s°‖ <= E. By the triangle inequality ‖x° − s°‖ <= ‖x − s‖ + e_x + E =: ‖x − s‖ + ε; what rounding in float32
/// adds to ε is in Frame. The k rows whose grid distances are least are first: the k-th nearest row is at most as far
/// away as the furthest of them truly is, T. Every reference row within T has a grid distance <= T + ε, and those are
/// refined. ‖x° − s°‖² is an integer: it is got exactly, in 16 bits, 64 products an instruction. A row far outside is
/// put on a grid of unit a·u, a = 4 or 16, around the same s°: with x° = a·q, ‖x° − s°‖²/(2a) = a‖q‖²/2 − q·s° +
/// ‖s°‖²/(2a) fits as well.
///
/// **Homes.** Where the reference rows lie in groups that are apart, each group has a frame of its own, and a row is
/// filtered from the home whose centre is nearest. Of another group's rows only some can be near: they lie in the order
/// of their coordinates along the direction d, ‖d‖ = 1, that leads there, and ‖x − s‖ >= d·s − d·x, so that all from
/// the first with d·s > d·x + T on are out of reach. T comes from the home's own rows. Rows too far out for a home's
/// grid are moved onto the box that it spans, then onto a ball around its centre: projections onto convex sets do not
/// lengthen distances between points, and a row that is filtered there lies in the ball.
///
/// Where bytes are too coarse (many columns, heavy tails, rows far outside) the filter is the inner product in float32,
/// with its rounding (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.1) in the place of ε.
///
/// Immutable; about 8 bytes a value of Neighbours::reference and, for each frame, 4·quads + 8 a reference row.
struct Packed {
  size_t cols = 0, rows = 0, k = 0;
  Distance distance = Distance::kMean;
  /// Reference rows as float32, row-major, each padded with zeros to `stride`. Those that frame 0 holds come first.
  tile::Aligned<float> exact;
  size_t stride = 0;

  // The filter in bytes.
  bool levels = false;  ///< Whether bytes filter well enough on these reference rows.
  size_t regular = 0;   ///< Reference rows in frame 0; it always refines the others, few.
  /// First that of all regular rows, for rows that no home takes; then the homes.
  std::vector<Frame> frames;
  /// Byte products of a row that is filtered from its home, were no row beyond it near: what the filter is limited by.
  double byte_products = 0;

  // The filter in float32, over all reference rows.
  tile::Aligned<float> centre;  ///< cols
  float largest_norm = 0;       ///< max ‖s − c‖; +inf where squares would overflow: then all rows are refined.
  tile::Aligned<float> blocks;  ///< s − c in blocks of 64 (kernels/tile/tile.h)
  tile::Aligned<float> norms;   ///< −‖s − c‖²/2; −FLT_MAX for rows that fill up.
};
Packed Pack(const Neighbours& model);

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
