// Values of a tile → bits of their ranks among a feature's thresholds → comparisons with every threshold.
// Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_FOREST_RANKS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_FOREST_RANKS_INL_H_
#undef DRIFTSEAL_KERNELS_FOREST_RANKS_INL_H_
#else
#define DRIFTSEAL_KERNELS_FOREST_RANKS_INL_H_
#endif

#include <hwy/highway.h>

#include <cstring>

#include "kernels/forest/forest.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::forest::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using tile::kBlockRows;
using tile::kTileRows;

using D = hn::CappedTag<float, kBlockRows>;
using DI = hn::RebindToSigned<D>;
using V = hn::Vec<D>;
using VI = hn::Vec<DI>;

/// One bit a row of a tile.
inline constexpr size_t kSlotWords = kTileRows / 64;
using DW = hn::CappedTag<uint64_t, kSlotWords>;

/// level[k] for each lane; `level` has 2^depth entries and 0 <= k < 2^depth.
HWY_INLINE V Pivot(const float* HWY_RESTRICT level, uint32_t depth, VI k) {
  const D d;
  [[maybe_unused]] const DI di;
  if (depth == 0) return hn::Set(d, level[0]);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  // A table of 32 floats is two registers and one permute; up to 128 that still beats a gather.
  const auto entry = [&](size_t i) { return _mm512_loadu_ps(level + 16 * i); };
  const auto of32 = [&](size_t i) { return _mm512_permutex2var_ps(entry(2 * i), k.raw, entry(2 * i + 1)); };
  const auto bit = [&](int b) { return _mm512_test_epi32_mask(k.raw, _mm512_set1_epi32(1 << b)); };
  if (depth <= 4) return V{_mm512_permutexvar_ps(k.raw, entry(0))};
  if (depth == 5) return V{of32(0)};
  if (depth == 6) return V{_mm512_mask_blend_ps(bit(5), of32(0), of32(1))};
  if (depth == 7) {
    const __mmask16 odd = bit(5);
    return V{_mm512_mask_blend_ps(bit(6), _mm512_mask_blend_ps(odd, of32(0), of32(1)),
                                  _mm512_mask_blend_ps(odd, of32(2), of32(3)))};
  }
#elif HWY_TARGET == HWY_AVX2
  const auto of8 = [&](size_t i) { return _mm256_permutevar8x32_ps(_mm256_loadu_ps(level + 8 * i), k.raw); };
  // A blend looks at the sign: bit b of k goes there.
  const auto by = [&](int b, __m256 zero, __m256 one) {
    return _mm256_blendv_ps(zero, one, _mm256_castsi256_ps(_mm256_slli_epi32(k.raw, 31 - b)));
  };
  if (depth <= 3) return V{of8(0)};
  if (depth == 4) return V{by(3, of8(0), of8(1))};
  if (depth == 5) return V{by(4, by(3, of8(0), of8(1)), by(3, of8(2), of8(3)))};
#endif
  return hn::GatherIndex(d, level, k);
}

/// A mask's bits to where they belong in a slot.
template <class M>
HWY_INLINE void StoreBits(M mask, size_t row, uint8_t* slot) {
  const D d;
  if (hn::Lanes(d) >= 8) {
    hn::StoreMaskBits(d, mask, slot + row / 8);
  } else {
    uint8_t bits[8];
    hn::StoreMaskBits(d, mask, bits);
    slot[row / 8] = static_cast<uint8_t>(slot[row / 8] | bits[0] << (row % 8));
  }
}

/// One level of the search for kAtOnce neighbouring vectors: one step of each in turn hides the latency.
inline constexpr size_t kAtOnce = 4;

/// Bit l of the rank of every row of a block into planes[levels − 1 − l]; rank = thresholds below x, and the largest
/// number that the bits hold for NaN, which is above every threshold's.
HWY_INLINE void RankBlock(const RankTable& table, const float* HWY_RESTRICT pivots, const float* HWY_RESTRICT x,
                          size_t first_row, uint8_t* planes) {
  const D d;
  const DI di;
  const size_t lanes = hn::Lanes(d);
  for (size_t r = 0; r < kBlockRows; r += kAtOnce * lanes) {
    V value[kAtOnce];
    VI k[kAtOnce];
    for (size_t n = 0; n < kAtOnce; ++n) {
      value[n] = hn::Load(d, x + r + n * lanes);
      k[n] = hn::Zero(di);
    }
    for (uint32_t level = 0; level < table.levels; ++level) {
      const float* entries = pivots + (1u << level) - 1;
      uint8_t* plane = planes + (table.levels - 1 - level) * kTileRows / 8;
      for (size_t n = 0; n < kAtOnce; ++n) {
        const auto right = hn::Not(hn::Le(value[n], Pivot(entries, level, k[n])));
        StoreBits(right, first_row + r + n * lanes, plane);
        // k = 2k + right: a mask's lanes are −1.
        k[n] = hn::Sub(hn::Add(k[n], k[n]), hn::BitCast(di, hn::VecFromMask(d, right)));
      }
    }
  }
}

/// Bit vectors a slot apart.
struct Slots {
  uint64_t* words;
  uint64_t* at(size_t slot) const { return words + slot * kSlotWords; }
};

template <class F>
HWY_INLINE void ForEachVector(const F& f) {
  for (size_t w = 0; w < kSlotWords; w += hn::Lanes(DW())) f(w);
}

/// out slot stride·j = "the number whose bits are planes[0 .. bits) is greater than j", 0 <= j < 2^bits, from the
/// lowest bit up: (plane, rest) > (1, j) is plane & (rest > j), > (0, j) is plane | (rest > j).
HWY_INLINE void Compare(const Slots& planes, uint32_t bits, size_t stride, const Slots& out) {
  const DW d;
  ForEachVector([&](size_t w) {
    hn::Store(hn::Load(d, planes.at(0) + w), d, out.at(0) + w);
    hn::Store(hn::Zero(d), d, out.at(stride) + w);
    for (uint32_t b = 1; b < bits; ++b) {
      const auto plane = hn::Load(d, planes.at(b) + w);
      for (size_t j = 0; j < size_t{1} << b; ++j) {
        const auto rest = hn::Load(d, out.at(stride * j) + w);
        hn::Store(hn::And(plane, rest), d, out.at(stride * (j + (size_t{1} << b))) + w);
        hn::Store(hn::Or(plane, rest), d, out.at(stride * j) + w);
      }
    }
  });
}

/// Slot 2j + 1 = "equal to j" from slots 2j = "greater than j".
HWY_INLINE void Equal(const Slots& slots, size_t count) {
  const DW d;
  ForEachVector([&](size_t w) {
    auto above = hn::Set(d, ~uint64_t{0});
    for (size_t j = 0; j < count; ++j) {
      const auto next = hn::Load(d, slots.at(2 * j) + w);
      hn::Store(hn::AndNot(next, above), d, slots.at(2 * j + 1) + w);
      above = next;
    }
  });
}

/// The slots of one feature.
HWY_INLINE void FillTable(const RankTable& table, const Packed& forest, const tile::Tile& tile, const Slots& planes,
                          const Slots& slots) {
  if (hn::Lanes(D()) < 8) std::memset(planes.words, 0, table.levels * kTileRows / 8);
  for (size_t b = 0; b < tile.blocks(); ++b) {
    RankBlock(table, forest.pivots.data() + table.pivots, tile.block(b) + table.feature * kBlockRows, b * kBlockRows,
              reinterpret_cast<uint8_t*>(planes.words));
  }
  const Slots low{slots.at(table.first_slot)};
  Compare(planes, table.low_levels, 1, low);
  if (table.low_levels == table.levels) return;
  const uint32_t high_levels = table.levels - table.low_levels;
  const Slots high{low.at(size_t{1} << table.low_levels)};
  Compare({planes.at(table.low_levels)}, high_levels, 2, high);
  Equal(high, size_t{1} << high_levels);
}

}  // namespace driftseal::kernels::forest::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
