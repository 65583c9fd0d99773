// Inner products of packed blocks: the loop that the SVM, the autoencoder, Mahalanobis and the neighbours share.
// Included once per instruction set, after <hwy/highway.h>, from a kernel's simd.cpp.
#if defined(DRIFTSEAL_KERNELS_TILE_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_TILE_PRODUCT_INL_H_
#undef DRIFTSEAL_KERNELS_TILE_PRODUCT_INL_H_
#else
#define DRIFTSEAL_KERNELS_TILE_PRODUCT_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

#include "kernels/tile/tile.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::tile::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// A vector of neighbouring rows of a block.
template <class T>
using Rows = hn::CappedTag<T, kBlockRows>;
using D = Rows<float>;
using V = hn::Vec<D>;

/// Accumulators of `J` broadcast rows against `N` vectors of rows: 16 of the 32 registers of AVX-512, 8 of AVX2's 16.
template <size_t J, size_t N, class T = float>
struct Sums {
  hn::Vec<Rows<T>> at[J][N];
};

template <size_t J, size_t N, class T>
HWY_INLINE Sums<J, N, T> Zeros() {
  Sums<J, N, T> sums;
  for (size_t j = 0; j < J; ++j) {
    for (size_t n = 0; n < N; ++n) sums.at[j][n] = hn::Zero(Rows<T>());
  }
  return sums;
}

/// sums.at[j][n] lane l += Σ_f a(f, j) · b(f, n·lanes + l), where feature f of row r of a block lies at [f·64 + r]: `a`
/// points at the first of J neighbouring rows of one block, `b` at the first lane of N vectors of another.
template <size_t J, size_t N, class T>
HWY_INLINE void AddProduct(const T* HWY_RESTRICT a, const T* HWY_RESTRICT b, size_t cols, Sums<J, N, T>& sums) {
  const Rows<T> d;
  const size_t lanes = hn::Lanes(d);
  for (size_t f = 0; f < cols; ++f, a += kBlockRows, b += kBlockRows) {
    hn::Vec<Rows<T>> x[N];
    for (size_t n = 0; n < N; ++n) x[n] = hn::Load(d, b + n * lanes);
    for (size_t j = 0; j < J; ++j) {
      const auto w = hn::Set(d, a[j]);
      for (size_t n = 0; n < N; ++n) sums.at[j][n] = hn::MulAdd(w, x[n], sums.at[j][n]);
    }
  }
}

/// The same with (a − b)² in the place of a·b: no cancellation where both are long and close together.
template <size_t J, size_t N>
HWY_INLINE void AddSquaredDistances(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, size_t cols,
                                    Sums<J, N>& sums) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  for (size_t f = 0; f < cols; ++f, a += kBlockRows, b += kBlockRows) {
    V x[N];
    for (size_t n = 0; n < N; ++n) x[n] = hn::Load(d, b + n * lanes);
    for (size_t j = 0; j < J; ++j) {
      const V w = hn::Set(d, a[j]);
      for (size_t n = 0; n < N; ++n) {
        const V difference = hn::Sub(w, x[n]);
        sums.at[j][n] = hn::MulAdd(difference, difference, sums.at[j][n]);
      }
    }
  }
}

/// AddProduct from zero.
template <size_t J, size_t N, class T>
HWY_INLINE Sums<J, N, T> Product(const T* HWY_RESTRICT a, const T* HWY_RESTRICT b, size_t cols) {
  Sums<J, N, T> sums = Zeros<J, N, T>();
  AddProduct(a, b, cols, sums);
  return sums;
}

/// 2^x for x <= 126, error below 2e-7 relative; 0 below −126 (on AVX-512 down to the smallest denormal) and for −inf.
/// 2^f on [0, 1] is the polynomial of degree 5 whose largest relative error is least.
HWY_INLINE V Exp2(V x) {
  const D d;
  const auto polynomial = [&](V f) {
    V p = hn::Set(d, 1.8775767e-3F);
    p = hn::MulAdd(p, f, hn::Set(d, 8.9893397e-3F));
    p = hn::MulAdd(p, f, hn::Set(d, 5.5826318e-2F));
    p = hn::MulAdd(p, f, hn::Set(d, 2.4015361e-1F));
    p = hn::MulAdd(p, f, hn::Set(d, 6.9315308e-1F));
    return hn::MulAdd(p, f, hn::Set(d, 9.9999994e-1F));
  };
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  // x − ⌊x⌋ is one instruction, 0 for −inf; so is ·2^⌊x⌋.
  return V{_mm512_scalef_ps(polynomial(V{_mm512_reduce_ps(x.raw, 1)}).raw, x.raw)};
#else
  const hn::RebindToSigned<D> di;
  const V low = hn::Set(d, -126.0F);
  const V clamped = hn::Max(x, low), whole = hn::Floor(clamped);
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(di, whole));
  const V scaled = hn::BitCast(d, hn::Add(hn::BitCast(di, polynomial(hn::Sub(clamped, whole))), exponent));
  return hn::IfThenElseZero(hn::Gt(x, low), scaled);
#endif
}

}  // namespace driftseal::kernels::tile::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
