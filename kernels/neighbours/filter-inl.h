// The two filters of the neighbours: values that are larger the nearer a reference row is, in 16-bit integers on the
// grid and in float32. Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_NEIGHBOURS_FILTER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_NEIGHBOURS_FILTER_INL_H_
#undef DRIFTSEAL_KERNELS_NEIGHBOURS_FILTER_INL_H_
#else
#define DRIFTSEAL_KERNELS_NEIGHBOURS_FILTER_INL_H_
#endif

#include <hwy/cache_control.h>
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

// Values of J queries for the two vectors of reference rows at `place`. All sums are modulo 2^16; the values themselves
// fit.
template <size_t J>
HWY_INLINE void ValuesAt(const Frame& frame, const GridQueries& queries, size_t place, V16* values) {
  const D16 d;
  const D32 dd;
  const size_t lanes = hn::Lanes(dd);
  const uint8_t* HWY_RESTRICT grid =
      frame.grid.data() + (place / kGridRows * frame.quads * kGridRows + place % kGridRows) * 4;
  const int32_t* HWY_RESTRICT norms = frame.norms.data() + place;
  const V32 half = hn::Set(dd, 0xFFFF);
  const auto norm = [&](const int32_t* at) {
    return hn::BitCast(d, hn::And(hn::ShiftRightSame(hn::Load(dd, at), queries.shift), half));
  };
  const V16 low_norm = norm(norms), high_norm = norm(norms + lanes);
  V16 low[J], high[J];
  for (size_t j = 0; j < J; ++j) {
    low[j] = low_norm;
    high[j] = high_norm;
  }
  const int32_t* HWY_RESTRICT query = queries.levels;
  for (size_t q = 0; q < frame.quads; ++q, grid += 4 * kGridRows, query += kMostQueries) {
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
void GridValuesOf(const Frame& frame, const GridQueries& queries, const GridResults& results) {
  const D16 d;
  std::fill_n(results.maxima, J * kMaxima, std::numeric_limits<int16_t>::min());
  for (size_t i = 0; i < GridPlaces(frame.own); i += hn::Lanes(d)) {
    V16 value[J];
    ValuesAt<J>(frame, queries, i, value);
    for (size_t j = 0; j < J; ++j) {
      hn::Store(value[j], d, results.values + j * results.stride + i);
      int16_t* largest = results.maxima + j * kMaxima + i % kMaxima;
      hn::Store(hn::Max(hn::Load(d, largest), value[j]), d, largest);
    }
  }
}

// Lanes of `mask` as bits from `at` on.
template <class Mask>
HWY_INLINE uint64_t Bits(Mask mask, size_t at) {
  uint64_t bits = 0;
  hn::StoreMaskBits(D16(), mask, reinterpret_cast<uint8_t*>(&bits));
  return bits << at;
}

template <size_t J>
void GridMatchesOf(const Frame& frame, const GridQueries& queries, size_t first, size_t blocks,
                   const GridPasses& passes) {
  const D16 d;
  for (size_t i = 0; i < blocks; ++i) {
    std::array<uint64_t, J> bits = {};
    for (size_t n = 0; n < kGridRows; n += hn::Lanes(d)) {
      V16 value[J];
      ValuesAt<J>(frame, queries, (first + i) * kGridRows + n, value);
      for (size_t j = 0; j < J; ++j) {
        const V16 least = hn::BitCast(d, hn::Set(D32(), passes.least[j]));
        bits[j] |= Bits(hn::Not(hn::Lt(value[j], least)), n);
      }
    }
    for (size_t j = 0; j < J; ++j) passes.masks[j * passes.stride + i] = static_cast<uint32_t>(bits[j]);
  }
}

// Places, as GridResults has them, to rows of Packed::exact; returns how many are rows.
HWY_INLINE size_t RowsAt(const Packed& model, const Frame& frame, size_t count, uint32_t* HWY_RESTRICT rows) {
  const size_t lanes = hn::Lanes(D16());
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t row = frame.rows[PlaceRow(rows[i], lanes)];
    rows[kept] = row;
    if (row == kNoRow) continue;
    const float* exact = model.exact.data() + row * model.stride;
    hwy::Prefetch(exact);
    hwy::Prefetch(exact + 16);
    ++kept;
  }
  return kept;
}

// VnniGridFind for every instruction set.
inline size_t GridFindIn(const int16_t* HWY_RESTRICT values, size_t count, int16_t threshold,
                         uint32_t* HWY_RESTRICT places) {
  const D16 d;
  const auto least = hn::Set(d, threshold);
  size_t found = 0;
  for (size_t i = 0; i < count; i += kMaxima) {
    uint64_t bits = 0;
    for (size_t n = 0; n < kMaxima; n += hn::Lanes(d)) {
      bits |= Bits(hn::Not(hn::Lt(hn::Load(d, values + i + n), least)), n);
    }
    const auto add_first = [&] {
      places[found] = static_cast<uint32_t>(i + hwy::Num0BitsBelowLS1Bit_Nonzero64(bits | uint64_t{1} << 63));
      found += bits != 0 ? 1 : 0;
      bits &= bits - 1;
    };
    add_first();
    while (bits != 0) add_first();  // seldom
  }
  return found;
}

// The rows that GridMatches found for one query in `blocks` blocks from `first` on.
HWY_INLINE size_t FindMatches(const Packed& model, const Frame& frame, size_t first, size_t blocks,
                              const uint32_t* HWY_RESTRICT masks, uint32_t* HWY_RESTRICT rows) {
  size_t count = 0;
  for (size_t i = 0; i < blocks; ++i) {
    for (uint64_t bits = masks[i]; bits != 0; bits &= bits - 1) {
      rows[count++] = static_cast<uint32_t>((first + i) * kGridRows + hwy::Num0BitsBelowLS1Bit_Nonzero64(bits));
    }
  }
  return RowsAt(model, frame, count, rows);
}

HWY_INLINE GridValues GridValuesFor(size_t queries, bool vnni) {
  const GridValues fast = vnni ? VnniGridValues(queries) : nullptr;
  if (fast != nullptr) return fast;
  return queries == 1 ? GridValuesOf<1> : queries == 4 ? GridValuesOf<4> : GridValuesOf<kMostQueries>;
}

HWY_INLINE GridFind GridFindFor(bool vnni) {
  const GridFind fast = vnni ? VnniGridFind() : nullptr;
  return fast != nullptr ? fast : GridFindIn;
}

HWY_INLINE GridMatches GridMatchesFor(size_t queries, bool vnni) {
  const GridMatches fast = vnni ? VnniGridMatches(queries) : nullptr;
  if (fast != nullptr) return fast;
  return queries == 1 ? GridMatchesOf<1> : queries == 4 ? GridMatchesOf<4> : GridMatchesOf<kMostQueries>;
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

// Places whose value is not below `threshold`; returns how many.
HWY_INLINE size_t FindPlaces(const float* HWY_RESTRICT values, size_t padded, float threshold,
                             uint32_t* HWY_RESTRICT places) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const V least = hn::Set(d, threshold);
  size_t count = 0;
  for (size_t i = 0; i < padded; i += lanes) {
    uint64_t bits = 0;
    hn::StoreMaskBits(d, hn::Not(hn::Lt(hn::Load(d, values + i), least)), reinterpret_cast<uint8_t*>(&bits));
    for (; bits != 0; bits &= bits - 1) {
      places[count++] = static_cast<uint32_t>(i + hwy::Num0BitsBelowLS1Bit_Nonzero64(bits));
    }
  }
  return count;
}

}  // namespace driftseal::kernels::neighbours::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
