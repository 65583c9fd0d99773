#include "engine/fingerprint/quantiles.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstdint>

namespace driftseal::fingerprint {
namespace {

constexpr size_t kSortBelow = 512;
constexpr unsigned kBucketBits = 12;  // Sign, exponent and three bits of the mantissa.

// An integer that orders as the float does.
uint32_t OrderedBits(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  // All bits of a negative value are turned, of another only the sign.
  return bits ^ (static_cast<uint32_t>(static_cast<int32_t>(bits) >> 31) | 0x80000000u);
}
size_t BucketOf(float value) { return OrderedBits(value) >> (32 - kBucketBits); }

struct Position {
  size_t rank = 0;      // Of the order statistic below the quantile.
  double fraction = 0;  // Towards the next one.
};
Position PositionOf(double probability, size_t count) {
  const double at = probability * static_cast<double>(count - 1);
  const size_t rank = std::min(static_cast<size_t>(at), count - 1);
  return {rank, at - static_cast<double>(rank)};
}

double Interpolate(double below, double above, double fraction) {
  return fraction > 0 ? below + fraction * (above - below) : below;
}

// The `count` values of the buckets [first, last]. Every value is written and only those that belong advance the end: a
// branch would be mispredicted for a third of them.
void Gather(std::span<const float> values, size_t first, size_t last, size_t count, std::vector<float>& out) {
  out.resize(count + 1);
  const uint32_t least = static_cast<uint32_t>(first) << (32 - kBucketBits);
  const uint32_t width = static_cast<uint32_t>(last - first) << (32 - kBucketBits) | ((1u << (32 - kBucketBits)) - 1);
  size_t end = 0;
  for (const float value : values) {
    out[end] = value;
    end += OrderedBits(value) - least <= width ? 1 : 0;
  }
  out.resize(count);
}

// The quantile from the values of the buckets that hold its two order statistics; `below` values lie before them.
double Select(std::vector<float>& bucket, size_t below, Position position) {
  const auto at = bucket.begin() + static_cast<ptrdiff_t>(position.rank - below);
  std::nth_element(bucket.begin(), at, bucket.end());
  const bool last = position.fraction == 0 || at + 1 == bucket.end();
  return Interpolate(*at, last ? *at : *std::min_element(at + 1, bucket.end()), position.fraction);
}

}  // namespace

void Quantiles(std::span<const float> values, std::span<const double> probabilities, std::span<double> out) {
  assert(!values.empty() && out.size() >= probabilities.size());
  const size_t n = values.size();
  std::vector<float> chosen;
  if (n < kSortBelow) {
    chosen.assign(values.begin(), values.end());
    std::sort(chosen.begin(), chosen.end());
    for (size_t i = 0; i < probabilities.size(); ++i) {
      const Position p = PositionOf(probabilities[i], n);
      out[i] = Interpolate(chosen[p.rank], chosen[std::min(p.rank + 1, n - 1)], p.fraction);
    }
    return;
  }
  std::array<uint32_t, size_t{1} << kBucketBits> counts{};
  for (const float value : values) ++counts[BucketOf(value)];
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const Position p = PositionOf(probabilities[i], n);
    if (p.rank == 0 && p.fraction == 0) {
      out[i] = *least;
    } else if (p.rank == n - 1) {
      out[i] = *most;
    } else {
      size_t first = 0, below = 0;
      while (below + counts[first] <= p.rank) below += counts[first++];
      size_t last = first, upto = below + counts[first];
      while (p.fraction > 0 && upto <= p.rank + 1) upto += counts[++last];
      Gather(values, first, last, upto - below, chosen);
      out[i] = Select(chosen, below, p);
    }
  }
}

Moments MomentsOf(std::span<const float> values) {
  const double n = static_cast<double>(values.size());
  // Four sums each, so that the additions do not wait for each other.
  const auto sum = [&](auto term) {
    std::array<double, 4> parts{};
    size_t i = 0;
    for (; i + 4 <= values.size(); i += 4) {
      for (size_t k = 0; k < 4; ++k) parts[k] += term(static_cast<double>(values[i + k]));
    }
    for (; i < values.size(); ++i) parts[0] += term(static_cast<double>(values[i]));
    return (parts[0] + parts[1]) + (parts[2] + parts[3]);
  };
  const double mean = sum([](double x) { return x; }) / n;
  return {mean, sum([mean](double x) { return (x - mean) * (x - mean); }) / n};
}

double MedianInPlace(std::span<double> values) {
  assert(!values.empty());
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

RobustContrast ContrastOf(std::span<const double> values, double floor) {
  if (values.size() < 3) return {};
  std::vector<double> work(values.begin(), values.end());
  const double median = MedianInPlace(work);
  for (size_t i = 0; i < values.size(); ++i) work[i] = std::fabs(values[i] - median);
  const double scale = 1.4826 * MedianInPlace(work) + floor;
  if (!(scale > 0)) return {};
  work.assign(values.begin(), values.end());
  std::partial_sort(work.begin(), work.begin() + 2, work.end(), std::greater<>());
  const double least = *std::min_element(values.begin(), values.end());
  return {true, (work[0] - median) / scale, -(least - median) / scale, (work[0] - work[1]) / scale};
}

}  // namespace driftseal::fingerprint
