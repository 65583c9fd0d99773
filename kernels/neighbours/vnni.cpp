// The inner products of the filter in bytes with AVX-512 VNNI, which Highway 1.0.3 has no operation for.
#include "kernels/neighbours/select.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define DRIFTSEAL_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define DRIFTSEAL_VBMI2 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")))

namespace driftseal::kernels::neighbours {
namespace {

// What J queries are compared by with 32 reference rows at `grid`: 4 columns of 16 rows an instruction.
template <size_t J>
DRIFTSEAL_VNNI inline void Values32(const uint8_t* grid, const int32_t* norms, const GridQueries& queries, size_t quads,
                                    __m512i (&values)[J]) {
  __m512i low[J], high[J];
  const __m512i shift = _mm512_set1_epi32(queries.shift);  // no masks: GCC 12 warns in its own header
  const __m512i low_norm = _mm512_maskz_srav_epi32(0xFFFF, _mm512_load_si512(norms), shift);
  const __m512i high_norm = _mm512_maskz_srav_epi32(0xFFFF, _mm512_load_si512(norms + 16), shift);
#pragma GCC unroll 8
  for (size_t j = 0; j < J; ++j) {
    low[j] = low_norm;
    high[j] = high_norm;
  }
  const int32_t* query = queries.levels;
#pragma GCC unroll 2
  for (size_t q = 0; q < quads; ++q, grid += 4 * kGridRows, query += kMostQueries) {
    const __m512i a = _mm512_load_si512(grid), b = _mm512_load_si512(grid + 64);
#pragma GCC unroll 8
    for (size_t j = 0; j < J; ++j) {
      const __m512i x = _mm512_set1_epi32(query[j]);
      low[j] = _mm512_dpbusd_epi32(low[j], a, x);
      high[j] = _mm512_dpbusd_epi32(high[j], b, x);
    }
  }
#pragma GCC unroll 8
  for (size_t j = 0; j < J; ++j) {
    const __m512i shifted = _mm512_maskz_slli_epi32(0xFFFF, high[j], 16);
    const __m512i both = _mm512_mask_blend_epi16(0xAAAAAAAA, low[j], shifted);
    values[j] = _mm512_add_epi16(both, _mm512_set1_epi32(queries.constants[j]));
  }
}

template <size_t J>
DRIFTSEAL_VNNI void Values(const Frame& frame, const GridQueries& queries, const GridResults& results) {
  const size_t quads = frame.quads, places = GridPlaces(frame.own), stride = results.stride;
  const uint8_t* grid = frame.grid.data();
  const int32_t* norms = frame.norms.data();
  __m512i largest[J];
#pragma GCC unroll 8
  for (size_t j = 0; j < J; ++j) largest[j] = _mm512_set1_epi16(-32768);
  for (size_t i = 0; i < places; i += kGridRows, grid += kGridRows * quads * 4, norms += kGridRows) {
    __m512i values[J];
    Values32<J>(grid, norms, queries, quads, values);
#pragma GCC unroll 8
    for (size_t j = 0; j < J; ++j) {
      _mm512_store_si512(results.values + j * stride + i, values[j]);
      largest[j] = _mm512_max_epi16(largest[j], values[j]);
    }
  }
#pragma GCC unroll 8
  for (size_t j = 0; j < J; ++j) _mm512_store_si512(results.maxima + j * kMaxima, largest[j]);
}

// No branch depends on where the places are: some 20 mispredictions would cost as much as half of all inner products.
DRIFTSEAL_VBMI2 size_t Places(const int16_t* values, size_t count, int16_t least, uint32_t* places) {
  alignas(64) static constexpr uint16_t kIndex[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                                      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
  const __m512i threshold = _mm512_set1_epi16(least), index = _mm512_load_si512(kIndex);
  size_t found = 0;
  for (size_t i = 0; i < count; i += 32) {
    const __mmask32 mask = _mm512_cmpge_epi16_mask(_mm512_load_si512(values + i), threshold);
    const __m512i some = _mm512_maskz_compress_epi16(mask, index);
    const __m256i base = _mm256_set1_epi32(static_cast<int>(i));
    const auto store = [&](size_t at, __m128i eight) DRIFTSEAL_VBMI2 {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(places + found + at),
                          _mm256_add_epi32(base, _mm256_cvtepu16_epi32(eight)));
    };
    const auto hits = static_cast<size_t>(__builtin_popcount(mask));
    store(0, _mm512_maskz_extracti32x4_epi32(0xF, some, 0));
    if (hits > 8) [[unlikely]] {
      store(8, _mm512_maskz_extracti32x4_epi32(0xF, some, 1));
      store(16, _mm512_maskz_extracti32x4_epi32(0xF, some, 2));
      store(24, _mm512_maskz_extracti32x4_epi32(0xF, some, 3));
    }
    found += hits;
  }
  return found;
}

template <size_t J>
DRIFTSEAL_VNNI void Matches(const Frame& frame, const GridQueries& queries, size_t first, size_t blocks,
                            const GridPasses& passes) {
  const size_t quads = frame.quads;
  const uint8_t* grid = frame.grid.data() + first * kGridRows * quads * 4;
  const int32_t* norms = frame.norms.data() + first * kGridRows;
  for (size_t i = 0; i < blocks; ++i, grid += kGridRows * quads * 4, norms += kGridRows) {
    __m512i values[J];
    Values32<J>(grid, norms, queries, quads, values);
#pragma GCC unroll 8
    for (size_t j = 0; j < J; ++j) {
      passes.masks[j * passes.stride + i] = _mm512_cmpge_epi16_mask(values[j], _mm512_set1_epi32(passes.least[j]));
    }
  }
}

bool HasVnni() {
  static const bool supported =
      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return supported;
}

}  // namespace

GridValues VnniGridValues(size_t queries) {
  if (!HasVnni()) return nullptr;
  return queries == 1 ? Values<1> : queries == 4 ? Values<4> : queries == 8 ? Values<8> : nullptr;
}
GridFind VnniGridFind() {
  static const bool supported = HasVnni() && __builtin_cpu_supports("avx512vbmi2");
  return supported ? Places : nullptr;
}
GridMatches VnniGridMatches(size_t queries) {
  if (!HasVnni()) return nullptr;
  return queries == 1 ? Matches<1> : queries == 4 ? Matches<4> : queries == 8 ? Matches<8> : nullptr;
}

}  // namespace driftseal::kernels::neighbours
#else
namespace driftseal::kernels::neighbours {
GridValues VnniGridValues(size_t) { return nullptr; }
GridMatches VnniGridMatches(size_t) { return nullptr; }
GridFind VnniGridFind() { return nullptr; }
}  // namespace driftseal::kernels::neighbours
#endif
