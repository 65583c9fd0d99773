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

/// Sums of a tile's rows, in numbers of the accumulator's own until Finish.
struct Accumulator {
  uint32_t* sums;   ///< kTileRows
  uint16_t* bytes;  ///< 3 · kTileRows: sums of the values' bytes over the last `trees` trees; see AddLeaves.
  size_t trees = 0;
};

// The leaf value of every row in one tree, by its code.
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
HWY_INLINE void AddLeaves(const Leaves& leaves, const Packed& forest, const Slots& slots, size_t blocks,
                          Accumulator& accumulator) {
  const uint32_t* values = forest.values.data() + leaves.first_value;
  const __m512i low = _mm512_loadu_si512(values), high = _mm512_loadu_si512(values + 16);
  for (size_t b = 0; b < blocks; ++b) {
    __m512i codes = _mm512_setzero_si512();
    for (size_t p = 0; p < leaves.planes; ++p) {
      const __mmask64 plane = slots.at(leaves.code[p])[b];
      codes = _mm512_mask_add_epi8(codes, plane, codes, _mm512_set1_epi8(static_cast<char>(1 << p)));
    }
    const auto quarter = [&](__m128i code, size_t at) {
      const __m512i index = _mm512_cvtepu8_epi32(code);
      // 32 values are two registers.
      const __m512i value =
          leaves.planes <= 5 ? _mm512_permutex2var_epi32(low, index, high) : _mm512_i32gather_epi32(index, values, 4);
      uint32_t* sum = accumulator.sums + b * kBlockRows + at;
      _mm512_store_si512(sum, _mm512_add_epi32(_mm512_load_si512(sum), value));
    };
    quarter(_mm512_castsi512_si128(codes), 0);
    quarter(_mm512_extracti32x4_epi32(codes, 1), 16);
    quarter(_mm512_extracti32x4_epi32(codes, 2), 32);
    quarter(_mm512_extracti32x4_epi32(codes, 3), 48);
  }
}
HWY_INLINE void Finish(Accumulator&, size_t) {}
#else
HWY_INLINE void AddByCode(const Leaves& leaves, const Packed& forest, const Slots& slots, size_t blocks,
                          uint32_t* sums) {
  const uint32_t* values = forest.values.data() + leaves.first_value;
  for (size_t r = 0; r < blocks * kBlockRows; ++r) {
    size_t code = 0;
    for (size_t p = 0; p < leaves.planes; ++p) {
      code |= (slots.at(leaves.code[p])[r / 64] >> (r % 64) & 1) << p;
    }
    sums[r] += values[code];
  }
}

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void AddLeaves(const Leaves& leaves, const Packed& forest, const Slots& slots, size_t blocks,
                          Accumulator& accumulator) {
  AddByCode(leaves, forest, slots, blocks, accumulator.sums);
}
HWY_INLINE void Finish(Accumulator&, size_t) {}
#else
using D8 = hn::CappedTag<uint8_t, kBlockRows>;

/// Adds the sums of bytes to the sums. Interleaving with zeros works within 16 bytes: of each vector of L bytes, rows
/// 0–7 of every 16 stand in the first half of L sums, rows 8–15 in the second.
HWY_INLINE void Finish(Accumulator& accumulator, size_t blocks) {
  const size_t lanes = hn::Lanes(D8());
  for (size_t r = 0; r < blocks * kBlockRows; ++r) {
    const size_t in_vector = r % lanes;
    const size_t at = r - in_vector + in_vector / 16 * 8 + r % 8 + (r % 16 < 8 ? 0 : lanes / 2);
    for (size_t k = 0; k < 3; ++k) {
      accumulator.sums[r] += static_cast<uint32_t>(accumulator.bytes[k * kTileRows + at]) << (8 * k);
    }
  }
  std::memset(accumulator.bytes, 0, 3 * kTileRows * sizeof(uint16_t));
  accumulator.trees = 0;
}

/// Byte k of a value is looked up and summed on its own, 16 bits wide.
HWY_INLINE void AddLeaves(const Leaves& leaves, const Packed& forest, const Slots& slots, size_t blocks,
                          Accumulator& accumulator) {
  if (leaves.first_byte == Leaves::kNoTable) return AddByCode(leaves, forest, slots, blocks, accumulator.sums);
  const D8 d;
  const hn::Repartition<uint16_t, D8> d16;
  const auto zero = hn::Zero(d), nibble = hn::Set(d, uint8_t{15});
  const uint8_t* table = forest.value_bytes.data() + leaves.first_byte;
  for (size_t r = 0; r < blocks * kBlockRows; r += hn::Lanes(d)) {
    auto code = zero;
    for (size_t p = 0; p < leaves.planes; ++p) {
      const auto* bits = reinterpret_cast<const uint8_t*>(slots.at(leaves.code[p])) + r / 8;
      const auto plane = hn::VecFromMask(d, hn::LoadMaskBits(d, bits));
      code = hn::Or(code, hn::And(plane, hn::Set(d, static_cast<uint8_t>(1u << p))));
    }
    const auto upper = hn::Ne(hn::AndNot(nibble, code), zero);
    const auto index = hn::And(code, nibble);
    for (size_t k = 0; k < 3; ++k) {
      const auto low = hn::TableLookupBytes(hn::LoadDup128(d, table + 32 * k), index);
      const auto high = hn::TableLookupBytes(hn::LoadDup128(d, table + 32 * k + 16), index);
      const auto value = hn::IfThenElse(upper, high, low);
      uint16_t* sum = accumulator.bytes + k * kTileRows + r;
      uint16_t* second = sum + hn::Lanes(d16);
      hn::Store(hn::Add(hn::Load(d16, sum), hn::BitCast(d16, hn::InterleaveLower(d, value, zero))), d16, sum);
      hn::Store(hn::Add(hn::Load(d16, second), hn::BitCast(d16, hn::InterleaveUpper(d, value, zero))), d16, second);
    }
  }
  // 257 · 255 fills 16 bits.
  if (++accumulator.trees == 257) Finish(accumulator, blocks);
}
#endif
#endif

/// Path sums of a tile's rows into `sums` (kTileRows).
HWY_INLINE void SumBySlices(const Packed& forest, const tile::Tile& tile, tile::Arena& arena, uint32_t* sums) {
  const Slots slots{arena.Take<uint64_t>(forest.slots * kSlotWords)};
  const Slots planes{arena.Take<uint64_t>(16 * kSlotWords)};
  Accumulator accumulator{sums, arena.Take<uint16_t>(3 * kTileRows)};
  std::memset(slots.at(0), 0, kTileRows / 8);
  std::memset(slots.at(1), 0xFF, kTileRows / 8);
  std::memset(sums, 0, kTileRows * sizeof(uint32_t));
  std::memset(accumulator.bytes, 0, 3 * kTileRows * sizeof(uint16_t));
  for (const RankTable& table : forest.ranks) FillTable(table, forest, tile, planes, slots);
  for (const Program& program : forest.programs) {
    RunProgram(forest.ops.data() + program.first_op, program.ops, slots);
    for (size_t t = 0; t < program.trees; ++t) {
      AddLeaves(program.leaves[t], forest, slots, tile.blocks(), accumulator);
    }
  }
  Finish(accumulator, tile.blocks());
}

}  // namespace driftseal::kernels::forest::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
