#include "engine/detector/statistics.h"

#include <algorithm>
#include <cmath>

namespace driftseal::detector {

double Quantile(std::span<const double> sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double fraction = position - static_cast<double>(below);
  return sorted[below] + fraction * (sorted[below + 1] - sorted[below]);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return Quantile(values, 0.5);
}

double MedianDeviation(std::span<const double> values, double centre) {
  std::vector<double> deviation;
  deviation.reserve(values.size());
  for (double value : values) deviation.push_back(std::abs(value - centre));
  return Median(std::move(deviation));
}

double StandardDeviation(std::span<const double> values) {
  if (values.size() < 2) return 0;
  double mean = 0;
  for (double value : values) mean += value / static_cast<double>(values.size());
  double sum = 0;
  for (double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

}  // namespace driftseal::detector
