// The inner products of the filter in bytes with AVX-512 VNNI, which Highway 1.0.3 has no operation for.
#include "kernels/neighbours/select.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

#define DRIFTSEAL_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

namespace driftseal::kernels::neighbours {
namespace {

// J queries against 32 reference rows at `grid`, 4 columns of 16 rows an instruction. kFirst: the first in a group.
template <size_t J, bool kFirst>
DRIFTSEAL_VNNI inline void Values32(const uint8_t* grid, const int32_t* norms, const GridQueries& queries, size_t quads,
                                    size_t stride, int16_t* values, int16_t* groups) {
  __m512i low[J], high[J];
#pragma GCC unroll 8
  for (size_t j = 0; j < J; ++j) {
    low[j] = _mm512_load_si512(norms);
    high[j] = _mm512_load_si512(norms + 16);
  }
  const int32_t* query = queries.levels;
#pragma GCC unroll 8
  for (size_t q = 0; q < quads; ++q, grid += 4 * kGridRows, query += tile::kBlockRows) {
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
    const __m512i shifted = _mm512_maskz_slli_epi32(0xFFFF, high[j], 16);  // no mask: GCC 12 warns in its own header
    const __m512i both = _mm512_mask_blend_epi16(0xAAAAAAAA, low[j], shifted);
    const __m512i value = _mm512_add_epi16(both, _mm512_set1_epi32(queries.constants[j]));
    _mm512_store_si512(values + j * stride, value);
    int16_t* largest = groups + j * stride;
    _mm512_store_si512(largest, kFirst ? value : _mm512_max_epi16(_mm512_load_si512(largest), value));
  }
}

template <size_t J>
DRIFTSEAL_VNNI void Values(const Packed& model, const GridQueries& queries, const GridResults& results) {
  const size_t quads = (model.cols + 3) / 4, places = GridPlaces(model.regular), stride = results.stride;
  const uint8_t* grid = model.grid.data();
  const int32_t* norms = model.grid_norms.data();
  for (size_t i = 0; i < places; i += kGridRows, grid += kGridRows * quads * 4, norms += kGridRows) {
    int16_t* groups = results.groups + i / kGroup * kMaxima;
    if (i % kGroup == 0) {
      Values32<J, true>(grid, norms, queries, quads, stride, results.values + i, groups);
    } else {
      Values32<J, false>(grid, norms, queries, quads, stride, results.values + i, groups);
    }
  }
}

}  // namespace

GridValues VnniGridValues(size_t queries) {
  static const bool supported =
      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (!supported) return nullptr;
  return queries == 1 ? Values<1> : queries == 4 ? Values<4> : queries == 8 ? Values<8> : nullptr;
}

}  // namespace driftseal::kernels::neighbours
#else
namespace driftseal::kernels::neighbours {
GridValues VnniGridValues(size_t) { return nullptr; }
}  // namespace driftseal::kernels::neighbours
#endif
