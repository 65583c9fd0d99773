#include "engine/detector/calibration.h"

#include <algorithm>
#include <cmath>

#include "engine/detector/statistics.h"

namespace driftseal::detector {
namespace {

/// Below this, relative to the scores' size, a spread is rounding noise.
constexpr double kNoise = 1e-9;

/// How many calibration scores may lie above the threshold: the largest m with Pr[Bin(n, alpha) <= m] <= delta. (Bin(n,
/// alpha) counts clean rows above the (1−alpha)-quantile; k = n − m.) Nothing when even m = 0 is too likely.
std::optional<size_t> MostAbove(size_t n, double alpha, double delta) {
  // log Pr[Bin = m], by the ratio of neighbouring terms: exact to rounding, and (1−alpha)^n cannot underflow.
  double log_term = static_cast<double>(n) * std::log1p(-alpha);
  const double log_odds = std::log(alpha) - std::log1p(-alpha);
  double below = 0;
  for (size_t m = 0; m < n; ++m) {
    below += std::exp(log_term);
    if (below > delta) return m == 0 ? std::nullopt : std::optional<size_t>(m - 1);
    log_term += std::log(static_cast<double>(n - m) / static_cast<double>(m + 1)) + log_odds;
  }
  return n == 0 ? std::nullopt : std::optional<size_t>(n - 1);
}

size_t Needed(double alpha, double delta) {
  return static_cast<size_t>(std::ceil(std::log(delta) / std::log1p(-alpha)));
}

}  // namespace

std::optional<Normaliser> FitNormaliser(std::vector<double> scores) {
  if (scores.empty()) return std::nullopt;
  std::sort(scores.begin(), scores.end());
  const double median = Quantile(scores, 0.5);
  const double noise = kNoise * std::max(std::abs(scores.front()), std::abs(scores.back()));
  for (double upper : {Quantile(scores, 0.9), scores.back()}) {
    if (upper - median > noise) return Normaliser{median, upper - median};
  }
  return std::nullopt;
}

double ConformalP(std::span<const double> calibration, double score) {
  const auto first = std::lower_bound(calibration.begin(), calibration.end(), score);
  const auto at_least = static_cast<double>(calibration.end() - first);
  return (1 + at_least) / (static_cast<double>(calibration.size()) + 1);
}

Guarantee OrderStatisticGuarantee(std::span<const double> calibration, double alpha, double delta) {
  Guarantee guarantee{alpha, delta, std::nullopt, 0, calibration.size()};
  if (!(alpha > 0 && alpha < 1 && delta > 0 && delta < 1)) return guarantee;
  guarantee.needed = Needed(alpha, delta);
  if (const auto above = MostAbove(calibration.size(), alpha, delta)) {
    guarantee.threshold = calibration[calibration.size() - 1 - *above];
  }
  return guarantee;
}

}  // namespace driftseal::detector
