// Activations over vectors of float32. Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_AUTOENCODER_ACTIVATION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_AUTOENCODER_ACTIVATION_INL_H_
#undef DRIFTSEAL_KERNELS_AUTOENCODER_ACTIVATION_INL_H_
#else
#define DRIFTSEAL_KERNELS_AUTOENCODER_ACTIVATION_INL_H_
#endif

#include <hwy/highway.h>

#include "kernels/autoencoder/autoencoder.h"
#include "kernels/tile/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::autoencoder::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using tile::HWY_NAMESPACE::D;
using tile::HWY_NAMESPACE::V;

// tanh, within 4e-7 relative. Up to 5/8 an odd polynomial of degree 11, x + x³·p(x²), whose largest relative error is
// least (4.4e-9 before rounding); beyond, 1 − 2/(e^2|x| + 1). A NaN gives a NaN.
HWY_INLINE V Tanh(V x) {
  const D d;
  const V x2 = hn::Mul(x, x), size = hn::Abs(x), one = hn::Set(d, 1.0F);
  V p = hn::Set(d, -5.70498407e-3F);
  p = hn::MulAdd(p, x2, hn::Set(d, 2.06390843e-2F));
  p = hn::MulAdd(p, x2, hn::Set(d, -5.37397154e-2F));
  p = hn::MulAdd(p, x2, hn::Set(d, 1.33314416e-1F));
  p = hn::MulAdd(p, x2, hn::Set(d, -3.33332807e-1F));
  const V near = hn::MulAdd(hn::Mul(x, x2), p, x);
  // At 10 a float's tanh is 1.
  const V e = tile::HWY_NAMESPACE::Exp2(hn::Mul(hn::Min(size, hn::Set(d, 10.0F)), hn::Set(d, 2.88539008F)));
  const V far = hn::CopySign(hn::Sub(one, hn::Div(hn::Set(d, 2.0F), hn::Add(e, one))), x);
  // Not "less than 5/8": a NaN takes the polynomial, which keeps it.
  return hn::IfThenElse(hn::Gt(size, hn::Set(d, 0.625F)), far, near);
}

// 1/(1 + e^−x), relative error below 4e-7 where it is above 1e-30. A NaN gives a NaN.
HWY_INLINE V Logistic(V x) {
  const D d;
  const V top = hn::Set(d, 126.0F);
  const V exponent = hn::Mul(x, hn::Set(d, -1.44269504F));  // −log2 e
  const V e = tile::HWY_NAMESPACE::Exp2(hn::IfThenElse(hn::Gt(exponent, top), top, exponent));
  const V one = hn::Set(d, 1.0F);
  return hn::IfThenElse(hn::Eq(x, x), hn::Div(one, hn::Add(one, e)), x);
}

template <Activation kActivation>
HWY_INLINE V Activate(V x) {
  if constexpr (kActivation == Activation::kRelu) {
    const V zero = hn::Zero(D());
    return hn::IfThenElse(hn::Lt(x, zero), zero, x);  // keeps a NaN
  }
  if constexpr (kActivation == Activation::kTanh) return Tanh(x);
  if constexpr (kActivation == Activation::kLogistic) return Logistic(x);
  return x;
}

}  // namespace driftseal::kernels::autoencoder::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
