#include <algorithm>
#include <array>

#include "kernels/svm/svm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/svm/simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/device/dispatch.h"
#include "kernels/tile/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::svm::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using tile::kBlockRows;
using tile::HWY_NAMESPACE::D;
using tile::HWY_NAMESPACE::Sums;
using tile::HWY_NAMESPACE::V;
namespace ops = tile::HWY_NAMESPACE;

// Rows farther away than this are as far as float32 can tell, and their squares do not overflow.
constexpr float kFar = 1e9F;

// x' = k(x − c) of one block, and −‖x'‖²/2 a row.
HWY_INLINE void ScaleBlock(const Packed& svm, const float* block, float* scaled, float* norms) {
  const D d;
  const V k = hn::Set(d, svm.scale), minus_half = hn::Set(d, -0.5F);
  for (size_t r = 0; r < kBlockRows; r += hn::Lanes(d)) {
    V squared = hn::Zero(d);
    for (size_t c = 0; c < svm.cols; ++c) {
      V x = hn::Mul(hn::Sub(hn::Load(d, block + c * kBlockRows + r), hn::Set(d, svm.centre[c])), k);
      if (!svm.differences) x = hn::Min(hn::Max(x, hn::Set(d, -kFar)), hn::Set(d, kFar));
      hn::Store(x, d, scaled + c * kBlockRows + r);
      squared = hn::MulAdd(x, x, squared);
    }
    hn::Store(hn::Mul(squared, minus_half), d, norms + r);
  }
}

// What exp2 is taken of, for J support vectors and N vectors of rows: x'·s' − ‖x'‖²/2 − ‖s'‖²/2, or −‖x' − s'‖²/2.
template <bool kDifferences, size_t J, size_t N>
HWY_INLINE Sums<J, N> Exponents(const float* a, const V (&a_norms)[J], const float* b, const V (&b_norms)[N],
                                size_t cols) {
  const D d;
  Sums<J, N> sums;
  if constexpr (kDifferences) {
    sums = ops::Zeros<J, N, float>();
    ops::AddSquaredDistances(a, b, cols, sums);
    for (auto& row : sums.at) {
      for (V& sum : row) sum = hn::Mul(sum, hn::Set(d, -0.5F));
    }
  } else {
    for (size_t j = 0; j < J; ++j) {
      for (size_t n = 0; n < N; ++n) sums.at[j][n] = hn::Add(a_norms[j], b_norms[n]);
    }
    ops::AddProduct(a, b, cols, sums);
  }
  return sums;
}

// Adds α_i k(x, s_i) of J support vectors, from `at` on, for N vectors of rows.
template <bool kDifferences, size_t J, size_t N>
HWY_INLINE void AddKernels(const Packed& svm, size_t at, const float* vectors, const float* x, const V (&row_norms)[N],
                           V (&part)[N]) {
  const D d;
  V norms[J];
  for (size_t j = 0; j < J; ++j) norms[j] = hn::Set(d, svm.norms[at + j]);
  const auto sums = Exponents<kDifferences, J, N>(vectors, norms, x, row_norms, svm.cols);
  for (size_t j = 0; j < J; ++j) {
    const V alpha = hn::Set(d, svm.alpha[at + j]);
    for (size_t n = 0; n < N; ++n) part[n] = hn::MulAdd(alpha, ops::Exp2(sums.at[j][n]), part[n]);
  }
}

// Σ_i α_i k(x, s_i) for N vectors of rows at `x`, J support vectors at a time. A block's part is summed on its own:
// the rounding of a long sum would otherwise be the largest error.
template <bool kDifferences, size_t J, size_t N>
HWY_INLINE void SumKernels(const Packed& svm, const float* x, const float* row_norms, float* out) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  V total[N], lost[N], norm[N];
  for (size_t n = 0; n < N; ++n) {
    total[n] = lost[n] = hn::Zero(d);
    norm[n] = hn::Load(d, row_norms + n * lanes);
  }
  for (size_t first = 0; first < svm.vectors; first += kBlockRows) {
    const float* block = svm.blocks.data() + first * svm.cols;
    const size_t count = std::min(kBlockRows, svm.vectors - first);
    V part[N];
    for (size_t n = 0; n < N; ++n) part[n] = hn::Zero(d);
    size_t j = 0;
    for (; j + J <= count; j += J) AddKernels<kDifferences, J, N>(svm, first + j, block + j, x, norm, part);
    for (; j < count; j += 2) AddKernels<kDifferences, 2, N>(svm, first + j, block + j, x, norm, part);
    for (size_t n = 0; n < N; ++n) {  // Kahan 1965
      const V y = hn::Sub(part[n], lost[n]), t = hn::Add(total[n], y);
      lost[n] = hn::Sub(hn::Sub(t, total[n]), y);
      total[n] = t;
    }
  }
  for (size_t n = 0; n < N; ++n) hn::Store(total[n], d, out + n * lanes);
}

// One row against lanes of support vectors: rows and vectors have changed places.
template <bool kDifferences>
HWY_INLINE float SumKernelsOfRow(const Packed& svm, const float* x, float row_norm) {
  const D d;
  constexpr size_t kVectors = 4;
  const size_t lanes = hn::Lanes(d), step = std::min(kVectors * lanes, kBlockRows);
  const V norm[1] = {hn::Set(d, row_norm)};
  double total = 0;
  for (size_t first = 0; first < svm.vectors; first += kBlockRows) {
    const float* block = svm.blocks.data() + first * svm.cols;
    V part = hn::Zero(d);
    for (size_t i = 0; i < std::min(kBlockRows, svm.vectors - first); i += step) {
      V norms[kVectors];
      for (size_t n = 0; n < kVectors; ++n) norms[n] = hn::Load(d, svm.norms.data() + first + i + n * lanes);
      const auto sums = Exponents<kDifferences, 1, kVectors>(x, norm, block + i, norms, svm.cols);
      for (size_t n = 0; n < kVectors; ++n) {
        const V alpha = hn::Load(d, svm.alpha.data() + first + i + n * lanes);
        part = hn::MulAdd(alpha, ops::Exp2(sums.at[0][n]), part);
      }
    }
    total += hn::GetLane(hn::SumOfLanes(d, part));
  }
  return static_cast<float>(total);
}

template <bool kDifferences>
HWY_INLINE void ScoreBlock(const Packed& svm, size_t rows, const float* x, const float* norms, float* sums) {
  const size_t lanes = hn::Lanes(D());
  // Fewer rows than this finish sooner one by one, with support vectors in the lanes.
  if (rows <= std::max<size_t>(lanes / 4, 1)) {
    for (size_t r = 0; r < rows; ++r) sums[r] = SumKernelsOfRow<kDifferences>(svm, x + r, norms[r]);
    return;
  }
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  constexpr size_t kTall = 6, kWide = 4;
#else
  constexpr size_t kTall = 4, kWide = 2;
#endif
  size_t r = 0;
  for (; r < rows && rows - r > (kWide - 1) * lanes && r + kWide * lanes <= kBlockRows; r += kWide * lanes) {
    SumKernels<kDifferences, kTall, kWide>(svm, x + r, norms + r, sums + r);
  }
  for (; r < rows; r += lanes) SumKernels<kDifferences, 8, 1>(svm, x + r, norms + r, sums + r);
}

int64_t Score(const Packed& svm, const tile::Tile& tile, tile::Workspace workspace, float* out) {
  tile::Arena arena(workspace);
  float* scaled = arena.Take<float>(svm.cols * kBlockRows);
  float* norms = arena.Take<float>(kBlockRows);
  alignas(tile::kAlignment) std::array<float, kBlockRows> sums;
  for (size_t b = 0; b < tile.blocks(); ++b) {
    ScaleBlock(svm, tile.block(b), scaled, norms);
    const size_t rows = tile.block_rows(b);
    if (svm.differences) {
      ScoreBlock<true>(svm, rows, scaled, norms, sums.data());
    } else {
      ScoreBlock<false>(svm, rows, scaled, norms, sums.data());
    }
    for (size_t r = 0; r < rows; ++r) {
      out[b * kBlockRows + r] = static_cast<float>(svm.rho - sums[r]) + tile.finite[b * kBlockRows + r];
    }
  }
  return HWY_TARGET;
}

}  // namespace driftseal::kernels::svm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace driftseal::kernels::svm {
HWY_EXPORT(Score);
TileKernel SimdKernel(const device::Isa& isa) { return DRIFTSEAL_KERNEL_FOR(Score, isa); }
}  // namespace driftseal::kernels::svm
#endif
