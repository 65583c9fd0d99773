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
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
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
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const Position p = PositionOf(probabilities[i], n);
    size_t first = 0, below = 0;
    while (below + counts[first] <= p.rank) below += counts[first++];
    size_t last = first, upto = below + counts[first];
    while (p.fraction > 0 && upto <= p.rank + 1 && last + 1 < counts.size()) upto += counts[++last];
    chosen.clear();
    for (const float value : values) {
      const size_t bucket = BucketOf(value);
      if (bucket >= first && bucket <= last) chosen.push_back(value);
    }
    out[i] = Select(chosen, below, p);
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
