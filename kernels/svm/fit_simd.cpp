#include "kernels/svm/fit_simd.h"

#include <algorithm>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/svm/fit_simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/device/dispatch.h"
#include "kernels/tile/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::svm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
namespace ops = tile::HWY_NAMESPACE;
using ops::D;
using ops::V;
using tile::kBlockRows;

using DD = hn::CappedTag<double, kBlockRows>;
using VD = hn::Vec<DD>;
using DHalf = hn::Rebind<float, DD>;  // as many floats as a vector has doubles

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
constexpr size_t kTall = 4, kWide = 4;
#else
constexpr size_t kTall = 4, kWide = 2;
#endif
// A tile is 16 columns of the kernel matrix (a cache line of every feature) by the 64 rows of a block. 96 features of
// both and the tile itself take 34 KiB, which the first-level cache holds.
constexpr size_t kTileColumns = 16, kDepth = 96;

void FillNorms(const float* block, size_t cols, float* norms) {
  const D d;
  for (size_t r = 0; r < kBlockRows; r += hn::Lanes(d)) {
    V sum = hn::Zero(d);
    for (size_t c = 0; c < cols; ++c) {
      const V x = hn::Load(d, block + c * kBlockRows + r);
      sum = hn::MulAdd(x, x, sum);
    }
    hn::Store(hn::Mul(sum, hn::Set(d, -0.5F)), d, norms + r);
  }
}

// Part of a tile: kTall columns by kWide vectors of rows, from their sums so far in `k` (none, where `first`) to the
// sums after `count` more features, or to the kernels where `last`.
template <bool kDifferences>
HWY_INLINE void TilePart(const float* a, const float* a_norms, const float* b, const float* b_norms, size_t count,
                         bool first, bool last, float* HWY_RESTRICT k) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  ops::Sums<kTall, kWide> sums;
  for (size_t j = 0; j < kTall; ++j) {
    for (size_t n = 0; n < kWide; ++n) {
      sums.at[j][n] = first ? hn::Zero(d) : hn::Load(d, k + j * kBlockRows + n * lanes);
    }
  }
  if constexpr (kDifferences) {
    ops::AddSquaredDistances(a, b, count, sums);
  } else {
    ops::AddProduct(a, b, count, sums);
  }
  for (size_t j = 0; j < kTall; ++j) {
    for (size_t n = 0; n < kWide; ++n) {
      V value = sums.at[j][n];
      if (last && kDifferences) value = ops::Exp2(hn::Mul(value, hn::Set(d, -0.5F)));
      if (last && !kDifferences) {
        value = ops::Exp2(hn::Add(value, hn::Add(hn::Load(d, b_norms + n * lanes), hn::Set(d, a_norms[j]))));
      }
      hn::Store(value, d, k + j * kBlockRows + n * lanes);
    }
  }
}

// k[j·64 + r] = k(row j at `a`, row r at `b`).
template <bool kDifferences>
HWY_INLINE void KernelTile(const float* a, const float* a_norms, const float* b, const float* b_norms, size_t cols,
                           float* HWY_RESTRICT k) {
  const size_t wide = std::min(kBlockRows, kWide * hn::Lanes(D()));
  size_t first = 0;
  do {
    const size_t count = std::min(kDepth, cols - first);
    const bool last = first + count == cols;
    for (size_t j = 0; j < kTileColumns; j += kTall) {
      for (size_t r = 0; r < kBlockRows; r += wide) {
        TilePart<kDifferences>(a + first * kBlockRows + j, a_norms + j, b + first * kBlockRows + r, b_norms + r, count,
                               first == 0, last, k + j * kBlockRows + r);
      }
    }
    first += count;
  } while (first < cols);
}

// sums[r] += Σ_j w[j]·k[j][r], in the order of j.
HWY_INLINE void AddWeighted(const float* k, const double* w, double* HWY_RESTRICT sums) {
  const DD d;
  const DHalf half;
  constexpr size_t kAtOnce = 4;
  const size_t lanes = hn::Lanes(d), step = std::min(kBlockRows, kAtOnce * lanes);
  for (size_t r = 0; r < kBlockRows; r += step) {
    VD sum[kAtOnce];
    for (size_t n = 0; n < kAtOnce; ++n) sum[n] = hn::Load(d, sums + r + n * lanes);
    for (size_t j = 0; j < kTileColumns; ++j) {
      const VD weight = hn::Set(d, w[j]);
      for (size_t n = 0; n < kAtOnce; ++n) {
        sum[n] = hn::MulAdd(weight, hn::PromoteTo(d, hn::Load(half, k + j * kBlockRows + r + n * lanes)), sum[n]);
      }
    }
    for (size_t n = 0; n < kAtOnce; ++n) hn::Store(sum[n], d, sums + r + n * lanes);
  }
}

template <bool kDifferences>
HWY_INLINE void AddSumsOf(const Panel& columns, const double* weights, const Panel& rows, double* sums) {
  alignas(tile::kAlignment) float k[kTileColumns * kBlockRows];
  for (size_t j = 0; j < columns.rows; j += kTileColumns) {
    const float* column = columns.block(j / kBlockRows) + j % kBlockRows;
    for (size_t b = 0; b < tile::Blocks(rows.rows); ++b) {
      KernelTile<kDifferences>(column, columns.norms + j, rows.block(b), rows.norms + b * kBlockRows, rows.cols, k);
      AddWeighted(k, weights + j, sums + b * kBlockRows);
    }
  }
}

void AddSums(const Panel& columns, const double* weights, const Panel& rows, double* sums) {
  columns.differences ? AddSumsOf<true>(columns, weights, rows, sums) : AddSumsOf<false>(columns, weights, rows, sums);
}

template <bool kDifferences>
HWY_INLINE void FillMatrixOf(const Panel& panel, size_t b, size_t stride, float* matrix) {
  alignas(tile::kAlignment) float k[kTileColumns * kBlockRows];
  for (size_t i = 0; i < panel.rows; i += kTileColumns) {
    const float* row = panel.block(i / kBlockRows) + i % kBlockRows;
    KernelTile<kDifferences>(row, panel.norms + i, panel.block(b), panel.norms + b * kBlockRows, panel.cols, k);
    for (size_t j = 0; j < std::min(kTileColumns, panel.rows - i); ++j) {
      std::copy_n(k + j * kBlockRows, kBlockRows, matrix + (i + j) * stride + b * kBlockRows);
    }
  }
}

void FillMatrix(const Panel& panel, size_t b, size_t stride, float* matrix) {
  panel.differences ? FillMatrixOf<true>(panel, b, stride, matrix) : FillMatrixOf<false>(panel, b, stride, matrix);
}

struct Found {
  double value;
  size_t at;
};

// The largest of the lanes, and of equal ones the first row: what a plain loop would find.
HWY_INLINE Found Largest(VD value, VD at) {
  const DD d;
  HWY_ALIGN double values[HWY_MAX_BYTES / sizeof(double)], rows[HWY_MAX_BYTES / sizeof(double)];
  hn::Store(value, d, values);
  hn::Store(at, d, rows);
  Found found{values[0], static_cast<size_t>(rows[0])};
  for (size_t lane = 1; lane < hn::Lanes(d); ++lane) {
    const auto row = static_cast<size_t>(rows[lane]);
    if (values[lane] > found.value || (values[lane] == found.value && row < found.at)) found = {values[lane], row};
  }
  return found;
}

struct First {
  Found up;     // −min G over α < 1, and its row
  double down;  // max G over α > 0
};

// G += step·(Q_i − Q_j), and the most violating row of each side afterwards.
HWY_INLINE First UpdateAndFind(const SubProblem& p, double step, const float* qi, const float* qj) {
  const DD d;
  const DHalf half;
  const VD by = hn::Set(d, step), lanes = hn::Set(d, static_cast<double>(hn::Lanes(d)));
  VD up = hn::Set(d, -std::numeric_limits<double>::infinity()), at = hn::Zero(d), down = up, row = hn::Iota(d, 0);
  for (size_t t = 0; t < p.stride; t += hn::Lanes(d)) {
    const VD difference = hn::PromoteTo(d, hn::Sub(hn::Load(half, qi + t), hn::Load(half, qj + t)));
    const VD g = hn::MulAdd(by, difference, hn::Load(d, p.gradient + t));
    hn::Store(g, d, p.gradient + t);
    const VD v = hn::Neg(hn::Add(g, hn::Load(d, p.room_up + t)));
    const auto better = hn::Gt(v, up);
    up = hn::IfThenElse(better, v, up);
    at = hn::IfThenElse(better, row, at);
    down = hn::Max(down, hn::Add(g, hn::Load(d, p.room_down + t)));
    row = hn::Add(row, lanes);
  }
  return {Largest(up, at), hn::GetLane(hn::MaxOfLanes(d, down))};
}

// The row j that, with i, lowers the objective most: the largest (G_j − G_i)² / (2 − 2Q_ij) over α_j > 0.
HWY_INLINE size_t FindSecond(const SubProblem& p, size_t i) {
  const DD d;
  const DHalf half;
  const float* qi = p.matrix + i * p.stride;
  const VD gi = hn::Set(d, p.gradient[i]), least = hn::Set(d, kLeastCurvature);
  const VD zero = hn::Zero(d), lanes = hn::Set(d, static_cast<double>(hn::Lanes(d))), two = hn::Set(d, 2.0);
  VD gain = zero, at = zero, row = hn::Iota(d, 0);
  for (size_t t = 0; t < p.stride; t += hn::Lanes(d)) {
    const VD g = hn::Add(hn::Load(d, p.gradient + t), hn::Load(d, p.room_down + t));
    const VD violation = hn::Max(hn::Sub(g, gi), zero);
    const VD q = hn::PromoteTo(d, hn::Load(half, qi + t));
    const VD curvature = hn::Max(hn::NegMulAdd(two, q, two), least);
    const VD v = hn::Div(hn::Mul(violation, violation), curvature);
    const auto better = hn::Gt(v, gain);
    gain = hn::IfThenElse(better, v, gain);
    at = hn::IfThenElse(better, row, at);
    row = hn::Add(row, lanes);
  }
  return Largest(gain, at).at;
}

HWY_INLINE void SetAlpha(const SubProblem& p, size_t i, double alpha) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  p.alpha[i] = alpha;
  p.room_up[i] = alpha < 1 ? 0 : kInf;
  p.room_down[i] = alpha > 0 ? 0 : -kInf;
}

// Moves α from j to i as far as the objective falls and the box allows; returns how far.
HWY_INLINE double Step(const SubProblem& p, size_t i, size_t j) {
  const double q = static_cast<double>(p.matrix[i * p.stride + j]);
  const double curvature = std::max(2 - 2 * q, kLeastCurvature);
  const double wish = (p.gradient[j] - p.gradient[i]) / curvature;
  const double above = 1 - p.alpha[i], below = p.alpha[j];
  const double step = std::min(wish, std::min(above, below));
  SetAlpha(p, i, step == above ? 1 : p.alpha[i] + step);  // exactly at the bound, or rounding would keep it free
  SetAlpha(p, j, step == below ? 0 : p.alpha[j] - step);
  return step;
}

uint64_t Solve(const SubProblem& p) {
  First first = UpdateAndFind(p, 0, p.matrix, p.matrix);
  for (uint64_t steps = 0; steps < p.limit; ++steps) {
    const size_t i = first.up.at;
    if (!(first.down + first.up.value > p.tolerance)) return steps;
    const size_t j = FindSecond(p, i);
    const double step = Step(p, i, j);
    first = UpdateAndFind(p, step, p.matrix + i * p.stride, p.matrix + j * p.stride);
  }
  return p.limit;
}

}  // namespace driftseal::kernels::svm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace driftseal::kernels::svm {
HWY_EXPORT(FillNorms);
HWY_EXPORT(AddSums);
HWY_EXPORT(FillMatrix);
HWY_EXPORT(Solve);
FitKernels FitKernelsFor(const device::Isa& isa) {
  return {DRIFTSEAL_KERNEL_FOR(FillNorms, isa), DRIFTSEAL_KERNEL_FOR(AddSums, isa),
          DRIFTSEAL_KERNEL_FOR(FillMatrix, isa), DRIFTSEAL_KERNEL_FOR(Solve, isa)};
}
}  // namespace driftseal::kernels::svm
#endif
