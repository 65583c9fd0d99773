// The two filters of the neighbours: values that are larger the nearer a reference row is, in 16-bit integers on the
// grid and in float32. Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_NEIGHBOURS_FILTER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_NEIGHBOURS_FILTER_INL_H_
#undef DRIFTSEAL_KERNELS_NEIGHBOURS_FILTER_INL_H_
#else
#define DRIFTSEAL_KERNELS_NEIGHBOURS_FILTER_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/neighbours/neighbours.h"
#include "kernels/neighbours/select.h"
#include "kernels/tile/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::neighbours::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using tile::kBlockRows;
using tile::HWY_NAMESPACE::D;
using tile::HWY_NAMESPACE::V;

#undef DRIFTSEAL_NEIGHBOURS_GRID
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL || HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4 || \
    HWY_TARGET == HWY_SSSE3
#define DRIFTSEAL_NEIGHBOURS_GRID 1
#else
#define DRIFTSEAL_NEIGHBOURS_GRID 0
#endif

inline constexpr bool kHasGrid = DRIFTSEAL_NEIGHBOURS_GRID == 1;

#if DRIFTSEAL_NEIGHBOURS_GRID
using D16 = hn::CappedTag<int16_t, kMaxima>;
using D32 = hn::Repartition<int32_t, D16>;
using V16 = hn::Vec<D16>;
using V32 = hn::Vec<D32>;

// Sums of two neighbouring products of unsigned and signed bytes. Highway 1.0.3 has no such operation.
HWY_INLINE V16 PairProducts(V16 grid, V16 query) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  return V16{_mm512_maddubs_epi16(grid.raw, query.raw)};
#elif HWY_TARGET == HWY_AVX2
  return V16{_mm256_maddubs_epi16(grid.raw, query.raw)};
#else
  return V16{_mm_maddubs_epi16(grid.raw, query.raw)};
#endif
}

// Of two vectors of 16-bit sums, two a reference row: the rows' values, in the places that PlaceRow tells.
HWY_INLINE V16 AddHalves(V16 low, V16 high) {
  const D16 d;
  const D32 dd;
  const V16 a = hn::Add(low, hn::BitCast(d, hn::ShiftRight<16>(hn::BitCast(dd, low))));
  const V16 b = hn::Add(high, hn::BitCast(d, hn::ShiftLeft<16>(hn::BitCast(dd, high))));
  return hn::OddEven(b, a);
}

// J queries against two vectors of reference rows at `grid`. All sums are modulo 2^16; the values themselves fit.
template <size_t J>
HWY_INLINE void TwoVectors(const uint8_t* HWY_RESTRICT grid, const int32_t* HWY_RESTRICT norms,
                           const GridQueries& queries, size_t quads, V16* values) {
  const D16 d;
  const D32 dd;
  const size_t lanes = hn::Lanes(dd);
  V16 low[J], high[J];
  for (size_t j = 0; j < J; ++j) {
    low[j] = hn::BitCast(d, hn::Load(dd, norms));
    high[j] = hn::BitCast(d, hn::Load(dd, norms + lanes));
  }
  const int32_t* HWY_RESTRICT query = queries.levels;
  for (size_t q = 0; q < quads; ++q, grid += 4 * kGridRows, query += kBlockRows) {
    const int32_t* at = reinterpret_cast<const int32_t*>(grid);
    const V16 a = hn::BitCast(d, hn::Load(dd, at)), b = hn::BitCast(d, hn::Load(dd, at + lanes));
    for (size_t j = 0; j < J; ++j) {
      const V16 x = hn::BitCast(d, hn::Set(dd, query[j]));
      low[j] = hn::Add(low[j], PairProducts(a, x));
      high[j] = hn::Add(high[j], PairProducts(b, x));
    }
  }
  for (size_t j = 0; j < J; ++j) {
    values[j] = hn::Add(AddHalves(low[j], high[j]), hn::BitCast(d, hn::Set(dd, queries.constants[j])));
  }
}

template <size_t J>
void GridValuesOf(const Packed& model, const GridQueries& queries, int16_t* values, int16_t* maxima) {
  const D16 d;
  const size_t lanes = hn::Lanes(d), quads = (model.cols + 3) / 4, padded = tile::RoundUp(model.regular, kBlockRows);
  for (size_t i = 0; i < J * kMaxima; i += lanes) hn::Store(hn::Set(d, -32768), d, maxima + i);
  for (size_t i = 0; i < padded; i += lanes) {
    const uint8_t* grid = model.grid.data() + (i / kGridRows * quads * kGridRows + i % kGridRows) * 4;
    V16 value[J];
    TwoVectors<J>(grid, model.grid_norms.data() + i, queries, quads, value);
    for (size_t j = 0; j < J; ++j) {
      hn::Store(value[j], d, values + j * padded + i);
      int16_t* largest = maxima + j * kMaxima + i % kMaxima;
      hn::Store(hn::Max(hn::Load(d, largest), value[j]), d, largest);
    }
  }
}

HWY_INLINE GridValues GridValuesFor(size_t queries, bool vnni) {
  const GridValues fast = vnni ? VnniGridValues(queries) : nullptr;
  if (fast != nullptr) return fast;
  return queries == 1 ? GridValuesOf<1> : queries == 4 ? GridValuesOf<4> : GridValuesOf<kMostQueries>;
}
#endif  // DRIFTSEAL_NEIGHBOURS_GRID

// x'·s' − ‖s'‖²/2 of J neighbouring rows of a block for every reference row, and their maxima.
template <size_t J, size_t N>
HWY_INLINE void ProductValues(const Packed& model, const float* x, float* values, float* maxima) {
  const D d;
  const size_t lanes = hn::Lanes(d), padded = tile::RoundUp(model.rows, kBlockRows), step = N * lanes;
  static_assert(kMaxima * 2 == kBlockRows);
  std::fill_n(maxima, J * kMaxima, std::numeric_limits<float>::lowest());
  for (size_t i = 0; i < padded; i += step) {
    const float* block = model.blocks.data() + i / kBlockRows * kBlockRows * model.cols + i % kBlockRows;
    const auto sums = tile::HWY_NAMESPACE::Product<J, N>(x, block, model.cols);
    for (size_t j = 0; j < J; ++j) {
      for (size_t n = 0; n < N; ++n) {
        const V value = hn::Add(sums.at[j][n], hn::Load(d, model.norms.data() + i + n * lanes));
        hn::Store(value, d, values + j * padded + i + n * lanes);
        float* largest = maxima + j * kMaxima + (i + n * lanes) % kMaxima;
        hn::Store(hn::Max(hn::Load(d, largest), value), d, largest);
      }
    }
  }
}

// The k-th largest of kMaxima values, by how many are larger than each.
template <class T>
HWY_INLINE T KthOfMaxima(const T* HWY_RESTRICT maxima, size_t k) {
  const hn::CappedTag<T, kMaxima> d;
  const auto one = hn::Set(d, T{1}), last = hn::Set(d, static_cast<T>(k));
  auto least = hn::Set(d, std::numeric_limits<T>::max());
  for (size_t i = 0; i < kMaxima; i += hn::Lanes(d)) {
    const auto value = hn::Load(d, maxima + i);
    auto larger = hn::Zero(d);
    for (size_t j = 0; j < kMaxima; ++j) {
      larger = hn::Add(larger, hn::IfThenElseZero(hn::Gt(hn::Set(d, maxima[j]), value), one));
    }
    least = hn::Min(least, hn::IfThenElse(hn::Lt(larger, last), value, least));
  }
  return hn::GetLane(hn::MinOfLanes(d, least));
}

// Up to this k the maxima bound the k-th largest value well; beyond it all values are looked through.
inline constexpr size_t kLargestVectorK = 16;

template <class T>
HWY_INLINE T KthValue(const Packed& model, const T* values, size_t count, const T* maxima, T* scratch) {
  if (model.k <= kLargestVectorK) return KthOfMaxima(maxima, model.k);
  std::copy_n(values, count, scratch);
  return KthLargest(scratch, count, model.k);
}

// Of 64 values: a bit for each that is not below `threshold`.
template <class T>
HWY_INLINE uint64_t AtLeast(const T* HWY_RESTRICT values, T threshold) {
  const hn::CappedTag<T, kMaxima> d;
  const auto least = hn::Set(d, threshold);
  const size_t lanes = hn::Lanes(d);
  uint64_t bits = 0;
  for (size_t i = 0; i < kBlockRows; i += lanes) {
    uint64_t some = 0;
    hn::StoreMaskBits(d, hn::Not(hn::Lt(hn::Load(d, values + i), least)), reinterpret_cast<uint8_t*>(&some));
    bits |= some << i;
  }
  return bits;
}

// Places whose value is not below `threshold`, a few of thousands; returns how many. The loops' branches do not depend
// on where they are: some 20 mispredictions would cost as much as a third of all inner products.
template <class T>
HWY_INLINE size_t FindCandidates(const T* HWY_RESTRICT values, size_t padded, T threshold,
                                 uint32_t* HWY_RESTRICT places, uint32_t* HWY_RESTRICT blocks) {
  const hn::CappedTag<T, kMaxima> d;
  const size_t lanes = hn::Lanes(d);
  const auto least = hn::Set(d, threshold);
  size_t hits = 0, count = 0;
  for (size_t block = 0; block < padded; block += kBlockRows) {
    auto best = hn::Load(d, values + block);
    for (size_t i = lanes; i < kBlockRows; i += lanes) best = hn::Max(best, hn::Load(d, values + block + i));
    blocks[hits] = static_cast<uint32_t>(block);
    hits += hn::AllTrue(d, hn::Lt(best, least)) ? 0 : 1;
  }
  for (size_t hit = 0; hit < hits; ++hit) {
    uint64_t bits = AtLeast(values + blocks[hit], threshold);
    do {
      places[count++] = blocks[hit] + static_cast<uint32_t>(hwy::Num0BitsBelowLS1Bit_Nonzero64(bits));
      bits &= bits - 1;
    } while (bits != 0);
  }
  return count;
}

}  // namespace driftseal::kernels::neighbours::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
