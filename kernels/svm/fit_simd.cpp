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

template <bool kDifferences>
HWY_INLINE ops::Sums<kTall, kWide> Pairs(const float* a, const float* b, size_t cols) {
  if constexpr (kDifferences) return ops::SquaredDistances<kTall, kWide>(a, b, cols);
  return ops::Product<kTall, kWide>(a, b, cols);
}

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

// k(s_j, x_r) of kTall neighbouring rows at `a` and kWide vectors of rows at `b`, to out[j·64 + r].
template <bool kDifferences>
HWY_INLINE void Kernels(const float* a, const float* a_norms, const float* b, const float* b_norms, size_t cols,
                        float* HWY_RESTRICT out) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  const auto sums = Pairs<kDifferences>(a, b, cols);
  for (size_t j = 0; j < kTall; ++j) {
    for (size_t n = 0; n < kWide; ++n) {
      V exponent = hn::Mul(sums.at[j][n], hn::Set(d, -0.5F));
      if constexpr (!kDifferences) {
        exponent = hn::Add(sums.at[j][n], hn::Add(hn::Load(d, b_norms + n * lanes), hn::Set(d, a_norms[j])));
      }
      hn::Store(ops::Exp2(exponent), d, out + j * kBlockRows + n * lanes);
    }
  }
}

// sums[r] += Σ_j w[j]·k[j][r], in the order of j.
HWY_INLINE void AddWeighted(const float* k, const double* w, size_t rows, double* HWY_RESTRICT sums) {
  const DD d;
  const DHalf half;
  for (size_t r = 0; r < rows; r += hn::Lanes(d)) {
    VD sum = hn::Load(d, sums + r);
    for (size_t j = 0; j < kTall; ++j) {
      sum = hn::MulAdd(hn::Set(d, w[j]), hn::PromoteTo(d, hn::Load(half, k + j * kBlockRows + r)), sum);
    }
    hn::Store(sum, d, sums + r);
  }
}

template <bool kDifferences>
HWY_INLINE void AddSumsOf(const Panel& columns, const double* weights, const float* block, const float* norms,
                          double* sums) {
  alignas(tile::kAlignment) float k[kTall * kBlockRows];
  const size_t wide = std::min(kBlockRows, kWide * hn::Lanes(D()));
  for (size_t first = 0; first < columns.rows; first += kBlockRows) {
    const float* column = columns.block(first / kBlockRows);
    const size_t count = std::min(kBlockRows, columns.rows - first);
    for (size_t r = 0; r < kBlockRows; r += wide) {
      for (size_t j = 0; j < count; j += kTall) {
        Kernels<kDifferences>(column + j, columns.norms + first + j, block + r, norms + r, columns.cols, k);
        AddWeighted(k, weights + first + j, wide, sums + r);
      }
    }
  }
}

void AddSums(const Panel& columns, const double* weights, const float* block, const float* norms, double* sums) {
  columns.differences ? AddSumsOf<true>(columns, weights, block, norms, sums)
                      : AddSumsOf<false>(columns, weights, block, norms, sums);
}

template <bool kDifferences>
HWY_INLINE void FillMatrixOf(const Panel& panel, size_t b, size_t stride, float* matrix) {
  alignas(tile::kAlignment) float k[kTall * kBlockRows];
  const size_t wide = std::min(kBlockRows, kWide * hn::Lanes(D()));
  for (size_t i = 0; i < panel.rows; i += kTall) {
    const float* row = panel.block(i / kBlockRows) + i % kBlockRows;
    for (size_t r = 0; r < kBlockRows; r += wide) {
      Kernels<kDifferences>(row, panel.norms + i, panel.block(b) + r, panel.norms + b * kBlockRows + r, panel.cols,
                            k + r);
    }
    for (size_t j = 0; j < std::min(kTall, panel.rows - i); ++j) {
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

// The row j that, with i, lowers the objective most: the largest (G_j − G_i)² / (Q_ii + Q_jj − 2Q_ij) over α_j > 0.
HWY_INLINE size_t FindSecond(const SubProblem& p, size_t i) {
  const DD d;
  const DHalf half;
  const float* qi = p.matrix + i * p.stride;
  const VD gi = hn::Set(d, p.gradient[i]), qii = hn::Set(d, p.diagonal[i]), least = hn::Set(d, kLeastCurvature);
  const VD zero = hn::Zero(d), lanes = hn::Set(d, static_cast<double>(hn::Lanes(d))), two = hn::Set(d, 2.0);
  VD gain = zero, at = zero, row = hn::Iota(d, 0);
  for (size_t t = 0; t < p.stride; t += hn::Lanes(d)) {
    const VD g = hn::Add(hn::Load(d, p.gradient + t), hn::Load(d, p.room_down + t));
    const VD violation = hn::Max(hn::Sub(g, gi), zero);
    const VD q = hn::PromoteTo(d, hn::Load(half, qi + t));
    const VD curvature = hn::Max(hn::NegMulAdd(two, q, hn::Add(qii, hn::Load(d, p.diagonal + t))), least);
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
  const double curvature = std::max(p.diagonal[i] + p.diagonal[j] - 2 * q, kLeastCurvature);
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
