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
