#include <algorithm>

#include "kernels/tile/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/tile/simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/device/dispatch.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::tile::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE void Transpose4x4(const float* from, size_t stride, float* to) {
  for (size_t r = 0; r < 4; ++r) {
    for (size_t c = 0; c < 4; ++c) to[c * kBlockRows + r] = from[r * stride + c];
  }
}
#else
// Four features of four rows in registers of 128 bits, which every instruction set transposes with eight unpacks.
using D4 = hn::CappedTag<float, 4>;
using D4x2 = hn::Repartition<double, D4>;

HWY_INLINE void Transpose4x4(const float* from, size_t stride, float* to) {
  const D4 d;
  const D4x2 dd;
  const auto r0 = hn::LoadU(d, from), r1 = hn::LoadU(d, from + stride);
  const auto r2 = hn::LoadU(d, from + 2 * stride), r3 = hn::LoadU(d, from + 3 * stride);
  const auto a = hn::InterleaveLower(d, r0, r1), b = hn::InterleaveUpper(d, r0, r1);
  const auto c = hn::InterleaveLower(d, r2, r3), e = hn::InterleaveUpper(d, r2, r3);
  const auto low = [&](auto x, auto y) {
    return hn::BitCast(d, hn::InterleaveLower(dd, hn::BitCast(dd, x), hn::BitCast(dd, y)));
  };
  const auto high = [&](auto x, auto y) {
    return hn::BitCast(d, hn::InterleaveUpper(dd, hn::BitCast(dd, x), hn::BitCast(dd, y)));
  };
  hn::Store(low(a, c), d, to);
  hn::Store(high(a, c), d, to + kBlockRows);
  hn::Store(low(b, e), d, to + 2 * kBlockRows);
  hn::Store(high(b, e), d, to + 3 * kBlockRows);
}
#endif

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
// Up to 16 features of up to 16 rows: four transposes of 4 × 4 in every 128 bits, then the 128-bit parts of four
// vectors change places. Rows and features that are not there are zeros and not stored.
HWY_INLINE void Transpose16x16(const float* from, size_t rows, size_t stride, size_t cols, float* to) {
  const auto mask = static_cast<__mmask16>((1u << cols) - 1);
  const auto row = [&](size_t r) { return r < rows ? _mm512_maskz_loadu_ps(mask, from + r * stride) : __m512(); };
  const auto pd = [](__m512 v) { return _mm512_castps_pd(v); };
  __m512 part[4][4];  // part[g][c] holds in 128-bit part l feature c + 4l of rows 4g .. 4g + 3.
  for (size_t g = 0; g < 4; ++g) {
    const __m512 r0 = row(4 * g), r1 = row(4 * g + 1), r2 = row(4 * g + 2), r3 = row(4 * g + 3);
    const __m512 a = _mm512_unpacklo_ps(r0, r1), b = _mm512_unpackhi_ps(r0, r1);
    const __m512 c = _mm512_unpacklo_ps(r2, r3), d = _mm512_unpackhi_ps(r2, r3);
    part[g][0] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(a), pd(c)));
    part[g][1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(a), pd(c)));
    part[g][2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pd(b), pd(d)));
    part[g][3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pd(b), pd(d)));
  }
  constexpr int kEven = 0x88, kOdd = 0xDD;
  for (size_t c = 0; c < 4; ++c) {
    const __m512 even_low = _mm512_shuffle_f32x4(part[0][c], part[1][c], kEven);
    const __m512 even_high = _mm512_shuffle_f32x4(part[2][c], part[3][c], kEven);
    const __m512 odd_low = _mm512_shuffle_f32x4(part[0][c], part[1][c], kOdd);
    const __m512 odd_high = _mm512_shuffle_f32x4(part[2][c], part[3][c], kOdd);
    const __m512 features[4] = {
        _mm512_shuffle_f32x4(even_low, even_high, kEven), _mm512_shuffle_f32x4(odd_low, odd_high, kEven),
        _mm512_shuffle_f32x4(even_low, even_high, kOdd), _mm512_shuffle_f32x4(odd_low, odd_high, kOdd)};
    for (size_t l = 0; l < 4; ++l) {
      if (c + 4 * l < cols) _mm512_store_ps(to + (c + 4 * l) * kBlockRows, features[l]);
    }
  }
}

// One block of up to 64 rows.
HWY_INLINE void TransposeBlock(const float* rows, size_t n, size_t cols, float* block) {
  if (n < kBlockRows) std::fill_n(block, cols * kBlockRows, 0.0F);
  for (size_t r = 0; r < n; r += 16) {
    for (size_t c = 0; c < cols; c += 16) {
      Transpose16x16(rows + r * cols + c, std::min<size_t>(16, n - r), cols, std::min<size_t>(16, cols - c),
                     block + c * kBlockRows + r);
    }
  }
}
#else
// One block of up to 64 rows.
HWY_INLINE void TransposeBlock(const float* rows, size_t n, size_t cols, float* block) {
  size_t r = 0;
  if (n < kBlockRows) std::fill_n(block, cols * kBlockRows, 0.0F);
  for (; r + 4 <= n; r += 4) {
    const float* from = rows + r * cols;
    size_t c = 0;
    for (; c + 4 <= cols; c += 4) Transpose4x4(from + c, cols, block + c * kBlockRows + r);
    for (; c < cols; ++c) {
      for (size_t i = 0; i < 4; ++i) block[c * kBlockRows + r + i] = from[i * cols + c];
    }
  }
  for (; r < n; ++r) {
    for (size_t c = 0; c < cols; ++c) block[c * kBlockRows + r] = rows[r * cols + c];
  }
}
#endif

// x·0 is 0 for a finite x and NaN for every other, and a sum keeps a NaN.
HWY_INLINE void MarkFinite(const float* block, size_t cols, float* finite) {
  const hn::CappedTag<float, kBlockRows> d;
  const auto zero = hn::Zero(d);
  for (size_t r = 0; r < kBlockRows; r += hn::Lanes(d)) {
    auto mark = zero;
    for (size_t c = 0; c < cols; ++c) mark = hn::MulAdd(hn::Load(d, block + c * kBlockRows + r), zero, mark);
    hn::Store(mark, d, finite + r);
  }
}

Tile Fill(RowsView<float> rows, float* data, float* finite) {
  for (size_t b = 0; b < Blocks(rows.rows); ++b) {
    float* block = data + b * rows.cols * kBlockRows;
    TransposeBlock(rows.row(b * kBlockRows), std::min(kBlockRows, rows.rows - b * kBlockRows), rows.cols, block);
    MarkFinite(block, rows.cols, finite + b * kBlockRows);
  }
  return {data, finite, rows.rows, rows.cols};
}

}  // namespace driftseal::kernels::tile::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace driftseal::kernels::tile {
HWY_EXPORT(Fill);
FillTile FillTileFor(const device::Isa& isa) { return DRIFTSEAL_KERNEL_FOR(Fill, isa); }
}  // namespace driftseal::kernels::tile
#endif
