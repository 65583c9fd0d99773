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
void GridValuesOf(const Packed& model, const GridQueries& queries, const GridResults& results) {
  const D16 d;
  const size_t lanes = hn::Lanes(d), quads = (model.cols + 3) / 4, places = GridPlaces(model.regular);
  for (size_t i = 0; i < places; i += lanes) {
    const uint8_t* grid = model.grid.data() + (i / kGridRows * quads * kGridRows + i % kGridRows) * 4;
    V16 value[J];
    TwoVectors<J>(grid, model.grid_norms.data() + i, queries, quads, value);
    for (size_t j = 0; j < J; ++j) {
      hn::Store(value[j], d, results.values + j * results.stride + i);
      int16_t* largest = results.groups + j * results.stride + i / kGroup * kMaxima + i % kMaxima;
      hn::Store(i % kGroup < kMaxima ? value[j] : hn::Max(hn::Load(d, largest), value[j]), d, largest);
    }
  }
}

// The largest value at each place modulo kMaxima, from those of the groups.
HWY_INLINE void MaximaOfGroups(const int16_t* HWY_RESTRICT groups, size_t places, int16_t* HWY_RESTRICT maxima) {
  const D16 d;
  for (size_t i = 0; i < kMaxima; i += hn::Lanes(d)) {
    auto largest = hn::Load(d, groups + i);
    for (size_t g = kMaxima; g < places / kGroup * kMaxima; g += kMaxima) {
      largest = hn::Max(largest, hn::Load(d, groups + g + i));
    }
    hn::Store(largest, d, maxima + i);
  }
}

// Regular reference rows whose value is at least `threshold`; returns how many. No branch depends on where they are:
// some 20 mispredictions would cost as much as a third of all inner products. `hits` has room for places/4 + 1.
HWY_INLINE size_t FindRows(const Packed& model, const GridResults& results, int threshold, uint32_t* HWY_RESTRICT hits,
                           uint32_t* HWY_RESTRICT rows) {
  const int16_t* HWY_RESTRICT values = results.values;
  const int16_t* HWY_RESTRICT groups = results.groups;
  const float* exact = model.exact.data();
  const size_t regular = model.regular, stride = model.stride;
  const D16 d;
  const size_t lanes = hn::Lanes(d), entries = GridPlaces(regular) / kGroup * kMaxima;
  const auto least = hn::Set(d, static_cast<int16_t>(threshold));
  size_t found = 0, count = 0;
  for (size_t i = 0; i < entries; i += kMaxima) {
    uint64_t bits = 0;
    for (size_t n = 0; n < kMaxima; n += lanes) {
      uint64_t some = 0;
      hn::StoreMaskBits(d, hn::Not(hn::Lt(hn::Load(d, groups + i + n), least)), reinterpret_cast<uint8_t*>(&some));
      bits |= some << n;
    }
    const auto add_first = [&] {
      hits[found] = static_cast<uint32_t>(i + hwy::Num0BitsBelowLS1Bit_Nonzero64(bits | uint64_t{1} << 63));
      found += bits != 0 ? 1 : 0;
      bits &= bits - 1;
    };
    add_first();
    while (bits != 0) add_first();  // seldom
  }
  for (size_t h = 0; h < found; ++h) {
    const uint32_t first = hits[h] / kMaxima * kGroup + hits[h] % kMaxima;
    for (uint32_t place = first; place < first + kGroup; place += kMaxima) {
      rows[count] = place;
      count += values[place] >= threshold ? 1 : 0;
    }
  }
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t row = PlaceRow(rows[i], lanes);
    hwy::Prefetch(exact + row * stride);
    hwy::Prefetch(exact + row * stride + 16);
    rows[kept] = static_cast<uint32_t>(row);
    kept += row < regular ? 1 : 0;
  }
  return kept;
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
