// Exact distances of a few reference rows, and the score from them. Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_NEIGHBOURS_REFINE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_NEIGHBOURS_REFINE_INL_H_
#undef DRIFTSEAL_KERNELS_NEIGHBOURS_REFINE_INL_H_
#else
#define DRIFTSEAL_KERNELS_NEIGHBOURS_REFINE_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/neighbours/neighbours.h"
#include "kernels/neighbours/select.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::neighbours::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE double SquaredDistance(const double* HWY_RESTRICT x, const float* HWY_RESTRICT s, size_t stride) {
  const hn::CappedTag<double, 8> d;
  const hn::Rebind<float, decltype(d)> df;
  auto sum = hn::Zero(d);
  for (size_t c = 0; c < stride; c += hn::Lanes(d)) {
    const auto difference = hn::Sub(hn::Load(d, x + c), hn::PromoteTo(d, hn::Load(df, s + c)));
    sum = hn::MulAdd(difference, difference, sum);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// The distance to the k-th nearest, and the score.
struct Nearest {
  double kth = 0, score = 0;
};

// From up to 64 squares, padded with infinities to a multiple of lanes, by how many are less than each.
HWY_INLINE Nearest NearestOfFew(double* squares, size_t n, size_t k, Distance distance) {
  const hn::CappedTag<double, 8> d;
  const auto one = hn::Set(d, 1.0), count = hn::Set(d, static_cast<double>(k));
  auto sum = hn::Zero(d), taken = hn::Zero(d), furthest = hn::Zero(d);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto square = hn::Load(d, squares + i);
    auto less = hn::Zero(d);
    for (size_t j = 0; j < n; ++j)
      less = hn::Add(less, hn::IfThenElseZero(hn::Lt(hn::Set(d, squares[j]), square), one));
    const auto near = hn::Lt(less, count);
    sum = hn::Add(sum, hn::IfThenElseZero(near, hn::Sqrt(square)));
    taken = hn::Add(taken, hn::IfThenElseZero(near, one));
    furthest = hn::Max(furthest, hn::IfThenElseZero(near, square));
  }
  const double last = std::sqrt(hn::GetLane(hn::MaxOfLanes(d, furthest)));
  if (distance == Distance::kKth) return {last, last};
  // Of several rows at the distance of the k-th all were taken.
  const double surplus = hn::GetLane(hn::SumOfLanes(d, taken)) - static_cast<double>(k);
  const double total = hn::GetLane(hn::SumOfLanes(d, sum)) - (surplus > 0 ? surplus * last : 0);
  return {last, total / static_cast<double>(k)};
}

// The squared distances of a row to its candidates.
HWY_INLINE void SquareAll(const Packed& model, const double* x, const uint32_t* rows, size_t count, double* squares) {
  for (size_t i = 0; i < count; ++i) {
    squares[i] = SquaredDistance(x, model.exact.data() + rows[i] * model.stride, model.stride);
  }
}

HWY_INLINE Nearest NearestOf(const Packed& model, size_t count, double* squares) {
  constexpr size_t kFew = 64;
  if (count > kFew) {
    const double score = ScoreOf(squares, count, model.k, model.distance);
    return {std::sqrt(squares[model.k - 1]), score};
  }
  std::fill_n(squares + count, 8, std::numeric_limits<double>::infinity());
  return NearestOfFew(squares, count, model.k, model.distance);
}

}  // namespace driftseal::kernels::neighbours::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
