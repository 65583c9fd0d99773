#include "parity/parity.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace driftseal::kernels::parity {

void Outcome::Compare(const std::string& name, std::span<const float> got, std::span<const double> expected,
                      double bound) {
  Compare(name, got, expected, [bound](double) { return bound; });
}

void Outcome::Compare(const std::string& name, std::span<const float> got, std::span<const double> expected,
                      const std::function<double(double)>& bound) {
  ++cases;
  rows += expected.size();
  if (got.size() != expected.size()) {
    failures.push_back(name + ": " + std::to_string(got.size()) + " scores for " + std::to_string(expected.size()));
    return;
  }
  for (size_t i = 0; i < got.size(); ++i) {
    const double want = std::abs(expected[i]) > std::numeric_limits<float>::max()
                            ? std::copysign(std::numeric_limits<double>::infinity(), expected[i])
                            : expected[i];
    if (std::isnan(want) ? std::isnan(got[i]) : static_cast<double>(got[i]) == want) continue;
    const double error = std::abs(static_cast<double>(got[i]) - want), allowed = bound(want);
    if (std::isfinite(error)) largest = std::max(largest, error / allowed);
    if (error <= allowed) continue;
    failures.push_back(name + ": row " + std::to_string(i) + " of " + std::to_string(got.size()) + " scores " +
                       std::to_string(got[i]) + ", the reference " + std::to_string(want) + ", bound " +
                       std::to_string(allowed));
    return;  // One row a case says enough.
  }
}

// Box and Muller 1958; std's distribution differs between libraries.
std::vector<float> NormalRows(Random& random, size_t rows, size_t cols) {
  std::vector<float> values(rows * cols);
  for (float& value : values) {
    const double radius = std::sqrt(-2 * std::log(1 - random.Uniform()));
    value = static_cast<float>(radius * std::cos(2 * std::numbers::pi * random.Uniform()));
  }
  return values;
}

std::vector<float> HardRows(Random& random, size_t cols) {
  using Limits = std::numeric_limits<float>;
  constexpr float kHard[] = {Limits::quiet_NaN(),
                             Limits::infinity(),
                             -Limits::infinity(),
                             Limits::denorm_min(),
                             -Limits::denorm_min(),
                             Limits::max(),
                             Limits::lowest(),
                             1e18F,
                             -1e18F,
                             0.0F,
                             -0.0F,
                             Limits::min()};
  std::vector<float> rows;
  for (float hard : kHard) {
    for (size_t where : {size_t{0}, cols / 2, cols - 1}) {
      std::vector<float> row = NormalRows(random, 1, cols);
      row[where] = hard;
      rows.insert(rows.end(), row.begin(), row.end());
    }
    rows.insert(rows.end(), cols, hard);
  }
  const std::vector<float> twice = NormalRows(random, 1, cols);
  for (int i = 0; i < 2; ++i) rows.insert(rows.end(), twice.begin(), twice.end());
  return rows;
}

std::vector<double> Widen(std::span<const float> values) { return {values.begin(), values.end()}; }

}  // namespace driftseal::kernels::parity
