#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/mahalanobis/mahalanobis.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/mahalanobis/simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/device/dispatch.h"
#include "kernels/tile/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::mahalanobis::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using tile::kBlockRows;

using D = tile::HWY_NAMESPACE::Rows<double>;
using V = hn::Vec<D>;
using tile::HWY_NAMESPACE::Product;

// d = x − mean of the rows up to `rows`, and c‖d‖² of each.
HWY_INLINE void CentreBlock(const Packed& model, const float* block, size_t rows, double* centred, double* sums) {
  const D d;
  const hn::Rebind<float, D> df;
  for (size_t r = 0; r < rows; r += hn::Lanes(d)) {
    V squared = hn::Zero(d);
    for (size_t c = 0; c < model.cols; ++c) {
      const V x = hn::PromoteTo(d, hn::Load(df, block + c * kBlockRows + r));
      const V difference = hn::Sub(x, hn::Set(d, model.mean[c]));
      hn::Store(difference, d, centred + c * kBlockRows + r);
      squared = hn::MulAdd(difference, difference, squared);
    }
    hn::Store(hn::Mul(squared, hn::Set(d, model.isotropic)), d, sums + r);
  }
}

// Adds Σ_j w_j (v_j·d)² for N vectors of rows at `x`, J directions at a time.
template <size_t J, size_t N>
HWY_INLINE void AddDirections(const Packed& model, const double* x, double* sums) {
  static_assert(kBlockRows % J == 0);
  const D d;
  const size_t lanes = hn::Lanes(d);
  V total[N];
  for (size_t n = 0; n < N; ++n) total[n] = hn::Load(d, sums + n * lanes);
  for (size_t j = 0; j < model.directions; j += J) {
    const double* block = model.blocks.data() + j / kBlockRows * kBlockRows * model.cols + j % kBlockRows;
    const auto products = Product<J, N>(block, x, model.cols);
    for (size_t i = 0; i < J; ++i) {
      const V weight = hn::Set(d, model.weights[j + i]);
      for (size_t n = 0; n < N; ++n) {
        total[n] = hn::MulAdd(hn::Mul(weight, products.at[i][n]), products.at[i][n], total[n]);
      }
    }
  }
  for (size_t n = 0; n < N; ++n) hn::Store(total[n], d, sums + n * lanes);
}

// The same for one row, with directions in the lanes.
HWY_INLINE double DirectionsOfRow(const Packed& model, const double* x) {
  const D d;
  constexpr size_t kVectors = 4;
  const size_t lanes = hn::Lanes(d), step = kVectors * lanes;
  V total = hn::Zero(d);
  for (size_t j = 0; j < model.directions; j += step) {
    const double* block = model.blocks.data() + j / kBlockRows * kBlockRows * model.cols + j % kBlockRows;
    const auto products = Product<1, kVectors>(x, block, model.cols);
    for (size_t n = 0; n < kVectors; ++n) {
      const V weight = hn::Load(d, model.weights.data() + j + n * lanes);
      total = hn::MulAdd(hn::Mul(weight, products.at[0][n]), products.at[0][n], total);
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, total));
}

HWY_INLINE void ScoreBlock(const Packed& model, size_t rows, const double* centred, double* sums) {
  const size_t lanes = hn::Lanes(D());
  // Fewer rows than this finish sooner one by one.
  if (rows <= std::max<size_t>(lanes / 4, 1)) {
    for (size_t r = 0; r < rows; ++r) sums[r] += DirectionsOfRow(model, centred + r);
    return;
  }
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  constexpr size_t kTall = 4, kWide = 4;
#else
  constexpr size_t kTall = 4, kWide = 2;
#endif
  size_t r = 0;
  for (; r < rows && rows - r > (kWide - 1) * lanes && r + kWide * lanes <= kBlockRows; r += kWide * lanes) {
    AddDirections<kTall, kWide>(model, centred + r, sums + r);
  }
  for (; r < rows; r += lanes) AddDirections<8, 1>(model, centred + r, sums + r);
}

int64_t Score(const Packed& model, const tile::Tile& tile, tile::Workspace workspace, float* out) {
  tile::Arena arena(workspace);
  double* centred = arena.Take<double>(model.cols * kBlockRows);
  alignas(tile::kAlignment) std::array<double, kBlockRows> sums;
  for (size_t b = 0; b < tile.blocks(); ++b) {
    const size_t rows = tile.block_rows(b);
    CentreBlock(model, tile.block(b), rows, centred, sums.data());
    ScoreBlock(model, rows, centred, sums.data());
    for (size_t r = 0; r < rows; ++r) {
      // inf − inf: the row is too far away for a double. Rounding never makes the score negative.
      const double score = std::isnan(sums[r]) ? std::numeric_limits<double>::infinity() : std::max(sums[r], 0.0);
      out[b * kBlockRows + r] = static_cast<float>(score) + tile.finite[b * kBlockRows + r];
    }
  }
  return HWY_TARGET;
}

}  // namespace driftseal::kernels::mahalanobis::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace driftseal::kernels::mahalanobis {
HWY_EXPORT(Score);
TileKernel SimdKernel(const device::Isa& isa) { return DRIFTSEAL_KERNEL_FOR(Score, isa); }
}  // namespace driftseal::kernels::mahalanobis
#endif
