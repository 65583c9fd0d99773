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
/// Places in a group: of those in it at the same place modulo kMaxima the largest value is kept, too.
inline constexpr size_t kGroup = 128;
/// Places of the regular reference rows, and the stride of GridResults: with a multiple of 4096 bytes between them,
/// eight queries' values would fall on the same lines of the first cache.
constexpr size_t GridPlaces(size_t regular) { return tile::RoundUp(regular, kGroup); }
constexpr size_t GridStride(size_t regular) { return GridPlaces(regular) + 64; }

/// Reference rows in a block of Packed::grid.
inline constexpr size_t kGridRows = 32;
constexpr size_t GridIndex(size_t cols, size_t row, size_t col) {
  const size_t quads = (cols + 3) / 4;
  return ((row / kGridRows * quads + col / 4) * kGridRows + row % kGridRows) * 4 + col % 4;
}

/// The k-th largest of n values, which are reordered.
int16_t KthLargest(int16_t* values, size_t n, size_t k);
float KthLargest(float* values, size_t n, size_t k);

/// The score from n >= k squared distances, which are reordered.
double ScoreOf(double* squares, size_t n, size_t k, Distance distance);

/// What a query is compared by: value = constant + x°·s° − ⌊‖s°‖²/2⌋, the nearer the larger, in units of the grid.
struct GridQueries {
  const int32_t* levels = nullptr;     ///< Columns 4q..4q+3 of query j as bytes at [q·64 + j].
  const int32_t* constants = nullptr;  ///< A query's, twice 16 bits.
};
/// What comes out: values of query j at values[j·stride + place], and the largest of places p, p + 32, p + 64, p + 96
/// of group g at groups[j·stride + 32·g + p]. A vector's even places are the first half of its reference rows, the odd
/// ones the second (PlaceRow).
struct GridResults {
  int16_t* values = nullptr;
  int16_t* groups = nullptr;
  size_t stride = 0;
};
/// Values of J neighbouring queries against every regular reference row.
using GridValues = void (*)(const Packed& model, const GridQueries& queries, const GridResults& results);

/// The reference row at `place` for vectors of `lanes` 16-bit values.
constexpr size_t PlaceRow(size_t place, size_t lanes) {
  const size_t lane = place % lanes;
  return place - lane + lane / 2 + lane % 2 * (lanes / 2);
}

/// The same 32 bytes an AVX-512 VNNI instruction, for J = 1, 4 or 8; nullptr where the processor or the compiler has
/// none.
GridValues VnniGridValues(size_t queries);

}  // namespace driftseal::kernels::neighbours

#endif  // DRIFTSEAL_KERNELS_NEIGHBOURS_SELECT_H_
