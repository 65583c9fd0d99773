#ifndef DRIFTSEAL_KERNELS_NEIGHBOURS_PACK_H_
#define DRIFTSEAL_KERNELS_NEIGHBOURS_PACK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/neighbours/neighbours.h"

// How Pack chooses and builds frames (neighbours.h). Nothing here is run while rows are scored.
namespace driftseal::kernels::neighbours {

/// The reference rows as float32, in the order of Packed::exact, around their mean.
struct Reference {
  size_t rows = 0, cols = 0;
  std::vector<float> values;   ///< rows × cols
  std::vector<double> centre;  ///< cols, float32 values

  double centred(size_t row, size_t col) const { return static_cast<double>(values[row * cols + col]) - centre[col]; }
};

/// ‖a − b‖², in four sums at once.
template <class A, class B>
double SquaredDistance(const A* a, const B* b, size_t n) {
  double sums[4] = {};
  size_t i = 0;
  const auto add = [&](size_t at, double& sum) {
    const double difference = static_cast<double>(a[at]) - static_cast<double>(b[at]);
    sum += difference * difference;
  };
  for (; i + 4 <= n; i += 4) {
    for (size_t j = 0; j < 4; ++j) add(i + j, sums[j]);
  }
  for (; i < n; ++i) add(i, sums[0]);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// Reference rows beyond the home's own, ascending by their coordinate in `direction` around the home's centre.
struct Beyond {
  std::vector<double> direction;  ///< cols, of length 1
  std::vector<uint32_t> rows;
  std::vector<double> keys;  ///< Each row's coordinate.
};

/// A frame that may be built: where rows are seen from, and in which order they are gone through.
struct View {
  std::vector<double> centre;    ///< cols, float32 values
  size_t axes = 0;               ///< 0: rows are not rotated
  std::vector<double> rotation;  ///< Orthonormal: axis a, column c at [c·axes + a].
  std::vector<uint32_t> own;
  std::vector<Beyond> beyond;
};

/// View::rotation: `axes` orthonormal directions in which the rows given lie widest, the widest first: orthogonal
/// iteration (Golub, Van Loan 2013, "Matrix Computations", section 8.2.4) on a sample. That they are orthonormal is
/// exact to rounding; that they are the widest only makes the filter good.
std::vector<double> PrincipalAxes(const Reference& reference, const std::vector<uint32_t>& rows,
                                  const std::vector<double>& centre, size_t axes);

/// Views from homes: groups of reference rows that lie together (k-means, Lloyd 1982, of the first `regular`), each
/// with all others beyond it. None where a group would have fewer than `least` rows.
std::vector<View> Homes(const Reference& reference, size_t regular, size_t groups, size_t least);

/// Most axes that rows are rotated to.
inline constexpr size_t kMostAxes = 64;

/// The rows of `rows` in a view's coordinates.
class Projection {
 public:
  Projection(const Reference& reference, const View& view, const std::vector<uint32_t>& rows);
  size_t count() const { return norms_.size(); }
  const double* row(size_t i) const { return values_.data() + i * axes_; }
  /// The length of what the first `axes` coordinates leave out.
  double Rest(size_t i, size_t axes) const;

 private:
  size_t axes_;
  std::vector<double> values_, norms_;
};

/// What `quads` quads of columns hold: so many coordinates, and the length of the rest where that is not all.
struct Columns {
  size_t axes;
  bool rest;
};
constexpr Columns ColumnsOf(size_t quads, size_t cols) {
  return 4 * quads >= cols ? Columns{cols, false} : Columns{4 * quads - 1, true};
}

/// A grid for rows: its unit, and what is taken off the length of the rest.
struct Scale {
  double unit = 0, rest_centre = 0;
};
/// The least unit at which the grid holds all of the rows but `left_out`, each at most `reach` units long.
Scale ScaleOf(const Projection& rows, Columns columns, size_t left_out, double reach);

/// What filtering and refining a row costs with the best number of quads of columns, in AVX-512 instructions, judged by
/// `samples` of the view's own rows.
struct Choice {
  size_t quads = 0;
  bool in_steps = false;  ///< Frame::in_steps
  double cost = 0;
};
Choice BestQuads(const Reference& reference, const View& view, size_t k, size_t samples);

/// How far a home's rows, and the rows that are filtered from it, may lie from its centre, in units of its grid.
inline constexpr double kHomeReach = 170;
/// ‖x° − s°‖²/2 in 16 bits: x° and s° are at most 362 units apart.
inline constexpr double kFarthest = 361;
/// A row may be as long as the longest reference row and a quarter more before the grid gives way to a coarser one.
inline constexpr double kRowReach = 1.25;

/// The frame of all regular rows: each is on the grid.
Frame BuildFrame(const Reference& reference, const View& view, const Choice& choice);
/// A home's: what lies too far out is moved onto the grid.
Frame BuildHome(const Reference& reference, const View& view, const Choice& choice);

}  // namespace driftseal::kernels::neighbours

#endif  // DRIFTSEAL_KERNELS_NEIGHBOURS_PACK_H_
