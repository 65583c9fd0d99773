#ifndef DRIFTSEAL_KERNELS_NEIGHBOURS_SELECT_H_
#define DRIFTSEAL_KERNELS_NEIGHBOURS_SELECT_H_

#include <cstddef>
#include <cstdint>

#include "kernels/neighbours/neighbours.h"

// Steps of the SIMD kernel that no instruction set helps with. They stand in files of their own because a template of
// std's must not be instantiated where the compiler targets one instruction set.
namespace driftseal::kernels::neighbours {

/// Queries that the filter in bytes takes at once at most.
inline constexpr size_t kMostQueries = 8;
/// Largest values kept a query: those of the reference rows at the same place modulo kMaxima. The k-th largest of them
/// is not above the k-th largest of all values.
inline constexpr size_t kMaxima = 32;
/// Places of a frame's own rows, and the stride of GridResults: with a multiple of 4096 bytes between them, eight
/// queries' values would fall on the same lines of the first cache.
constexpr size_t GridPlaces(size_t own) { return tile::RoundUp(own, kMaxima); }
constexpr size_t GridStride(size_t own) { return GridPlaces(own) + 64; }
/// Most quads of columns: 2^16 values would not hold a longer row's rounding errors.
inline constexpr size_t kMostQuads = 512;
/// Floats in the longest vector: rotated rows are padded to a multiple.
inline constexpr size_t kVector = 16;

/// Places in a block of Frame::grid.
inline constexpr size_t kGridRows = 32;
constexpr size_t GridIndex(size_t cols, size_t row, size_t col) {
  const size_t quads = (cols + 3) / 4;
  return ((row / kGridRows * quads + col / 4) * kGridRows + row % kGridRows) * 4 + col % 4;
}

/// Rows that the filter in float32 takes at once.
inline constexpr size_t kProductQueries = 4;

/// What the SIMD kernel needs room for, in entries of its arrays.
struct Sizes {
  size_t row = 0;       ///< Floats of a row, centred or rotated.
  size_t levels = 0;    ///< GridQueries::levels
  size_t values = 0;    ///< GridResults::stride
  size_t products = 0;  ///< float32 values of a query
  size_t list = 0;      ///< Candidates of a query, rows that fill up among them.
  size_t masks = 0;     ///< GridPasses::stride
};
Sizes SizesOf(const Packed& model);

/// The k-th largest of n values, which are reordered.
int16_t KthLargest(int16_t* values, size_t n, size_t k);
float KthLargest(float* values, size_t n, size_t k);

/// The score from n >= k squared distances, which are reordered: the k-th is at squares[k − 1] then.
double ScoreOf(double* squares, size_t n, size_t k, Distance distance);

/// What a query is compared by: value = constant + q·s° − ⌊‖s°‖²/2⌋ >> 2·coarser, the nearer the larger, in units of
/// the grid; all queries have the same `coarser`.
struct GridQueries {
  const int32_t* levels = nullptr;     ///< Columns 4q..4q+3 of query j as bytes at [q·kMostQueries + j].
  const int32_t* constants = nullptr;  ///< A query's, twice 16 bits.
  int shift = 0;                       ///< 2·coarser
};
/// What comes out: values of query j at values[j·stride + place], and the largest of those at the same place modulo
/// kMaxima at maxima[j·kMaxima + place]. A vector's even places are the first half of its reference rows, the odd ones
/// the second (PlaceRow).
struct GridResults {
  int16_t* values = nullptr;
  int16_t* maxima = nullptr;
  size_t stride = 0;
};
/// Values of J neighbouring queries against every own row of a frame.
using GridValues = void (*)(const Frame& frame, const GridQueries& queries, const GridResults& results);

/// Which places hold a value of at least least[j], a query's twice 16 bits: bit p of masks[j·stride + i] stands for
/// place p of block first + i.
struct GridPasses {
  const int32_t* least = nullptr;
  uint32_t* masks = nullptr;
  size_t stride = 0;
};
/// The same J queries against `blocks` blocks of 32 places from `first` on.
using GridMatches = void (*)(const Frame& frame, const GridQueries& queries, size_t first, size_t blocks,
                             const GridPasses& passes);

/// Writes the places, of `count`, whose value is at least `least`, and up to 32 more numbers; returns how many.
using GridFind = size_t (*)(const int16_t* values, size_t count, int16_t least, uint32_t* places);

/// The reference row at `place` for vectors of `lanes` 16-bit values.
constexpr size_t PlaceRow(size_t place, size_t lanes) {
  const size_t lane = place % lanes;
  return place - lane + lane / 2 + lane % 2 * (lanes / 2);
}

/// The same 32 bytes an AVX-512 VNNI instruction, for J = 1, 4 or 8; nullptr where the processor or the compiler has
/// none.
GridValues VnniGridValues(size_t queries);
GridMatches VnniGridMatches(size_t queries);
/// nullptr without AVX-512 VBMI2, too.
GridFind VnniGridFind();

}  // namespace driftseal::kernels::neighbours

#endif  // DRIFTSEAL_KERNELS_NEIGHBOURS_SELECT_H_
