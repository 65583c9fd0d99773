// Runs trees as programs over bit vectors, and turns the codes of their leaves into path sums.
// Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_FOREST_PROGRAM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_FOREST_PROGRAM_INL_H_
#undef DRIFTSEAL_KERNELS_FOREST_PROGRAM_INL_H_
#else
#define DRIFTSEAL_KERNELS_FOREST_PROGRAM_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/forest/forest.h"
#include "kernels/forest/ranks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::forest::HWY_NAMESPACE {

/// Bit by bit: Highway's IfVecThenElse may look at a byte's first bit only.
template <class VW>
HWY_INLINE VW Choose(VW test, VW one, VW zero) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  return VW{_mm512_ternarylogic_epi64(test.raw, one.raw, zero.raw, 0xCA)};
#else
  return hn::Or(hn::And(test, one), hn::AndNot(test, zero));
#endif
}

HWY_INLINE void RunProgram(const Op* HWY_RESTRICT op, size_t count, const Slots& slots) {
  const DW d;
  for (const Op* end = op + count; op != end; ++op) {
    ForEachVector([&](size_t w) {
      const auto test = hn::Load(d, slots.at(op->test) + w);
      const auto one = hn::Load(d, slots.at(op->one) + w), zero = hn::Load(d, slots.at(op->zero) + w);
      hn::Store(Choose(test, one, zero), d, slots.at(op->out) + w);
    });
  }
}

// Adds the leaf values of one tree to the sums of a tile.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
HWY_INLINE void AddLeaves(const Program& program, const uint32_t* HWY_RESTRICT values, const Slots& slots,
                          size_t blocks, uint32_t* HWY_RESTRICT sums) {
  const __m512i low = _mm512_loadu_si512(values), high = _mm512_loadu_si512(values + 16);
  for (size_t b = 0; b < blocks; ++b) {
    __m512i codes = _mm512_setzero_si512();
    for (size_t p = 0; p < program.planes; ++p) {
      const __mmask64 plane = slots.at(program.code[p])[b];
      codes = _mm512_mask_add_epi8(codes, plane, codes, _mm512_set1_epi8(static_cast<char>(1 << p)));
    }
    const auto quarter = [&](__m128i code, size_t at) {
      const __m512i index = _mm512_cvtepu8_epi32(code);
      // 32 values are two registers.
      const __m512i value = program.planes <= 5 ? _mm512_permutex2var_epi32(low, index, high)
                                                : _mm512_i32gather_epi32(index, values, 4);
      uint32_t* sum = sums + b * kBlockRows + at;
      _mm512_store_si512(sum, _mm512_add_epi32(_mm512_load_si512(sum), value));
    };
    quarter(_mm512_castsi512_si128(codes), 0);
    quarter(_mm512_extracti32x4_epi32(codes, 1), 16);
    quarter(_mm512_extracti32x4_epi32(codes, 2), 32);
    quarter(_mm512_extracti32x4_epi32(codes, 3), 48);
  }
}
#else
HWY_INLINE void AddLeaves(const Program& program, const uint32_t* HWY_RESTRICT values, const Slots& slots,
                          size_t blocks, uint32_t* HWY_RESTRICT sums) {
  const hn::CappedTag<uint32_t, kBlockRows> d;
  const hn::RebindToSigned<decltype(d)> di;
  const auto one = hn::Set(d, 1u);
  for (size_t b = 0; b < blocks; ++b) {
    for (size_t r = 0; r < kBlockRows; r += hn::Lanes(d)) {
      auto code = hn::Zero(d);
      const auto lane = hn::Iota(d, 0u);
      for (size_t p = program.planes; p-- > 0;) {
        const auto bits = hn::Set(d, static_cast<uint32_t>(slots.at(program.code[p])[b] >> r));
        code = hn::Or(hn::Add(code, code), hn::And(hn::Shr(bits, lane), one));
      }
      uint32_t* sum = sums + b * kBlockRows + r;
      hn::Store(hn::Add(hn::Load(d, sum), hn::GatherIndex(d, values, hn::BitCast(di, code))), d, sum);
    }
  }
}
#endif

/// Path sums of a tile's rows into `sums` (kTileRows).
HWY_INLINE void SumBySlices(const Packed& forest, const tile::Tile& tile, tile::Arena& arena, uint32_t* sums) {
  const Slots slots{arena.Take<uint64_t>(forest.slots * kSlotWords)};
  const Slots planes{arena.Take<uint64_t>(16 * kSlotWords)};
  std::memset(slots.at(0), 0, kTileRows / 8);
  std::memset(slots.at(1), 0xFF, kTileRows / 8);
  std::memset(sums, 0, kTileRows * sizeof(uint32_t));
  for (const RankTable& table : forest.ranks) FillTable(table, forest, tile, planes, slots);
  for (const Program& program : forest.programs) {
    RunProgram(forest.ops.data() + program.first_op, program.ops, slots);
    AddLeaves(program, forest.values.data() + program.first_value, slots, tile.blocks(), sums);
  }
}

}  // namespace driftseal::kernels::forest::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
