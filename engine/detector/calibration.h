#ifndef DRIFTSEAL_ENGINE_DETECTOR_CALIBRATION_H_
#define DRIFTSEAL_ENGINE_DETECTOR_CALIBRATION_H_

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "engine/detector/detector.h"

// What a score means: conformal p-values, order-statistic guarantees, and the scale on which members are averaged.
namespace driftseal::detector {

/// u = (s − median) / spread, where spread is q90 − median of a member's scores out of fold.
struct Normaliser {
  double median = 0, spread = 1;
  double Apply(double score) const { return (score - median) / spread; }
};

/// From the out-of-fold scores of the fitting rows. Where q90 equals the median (many equal rows), the spread is taken
/// to the largest score; nothing when all scores are equal, for then the member tells nothing.
std::optional<Normaliser> FitNormaliser(std::vector<double> scores);

/// (1 + #{i : calibration_i >= score}) / (n + 1); `calibration` is ascending. If the row is exchangeable with the
/// calibration rows, Pr(p <= α) <= α (Bates, Candès, Lei, Romano, Sesia 2023, arXiv 2104.08279).
double ConformalP(std::span<const double> calibration, double score);

/// The smallest calibration score that, with confidence 1−delta, at most a share alpha of clean rows exceeds: the k-th
/// smallest of n with Pr[Bin(n, 1−alpha) <= k−1] >= 1−delta. `needed` is ⌈ln delta / ln(1−alpha)⌉, the least n for
/// which there is one. alpha and delta lie strictly between 0 and 1; otherwise there is no threshold and needed is 0.
Guarantee OrderStatisticGuarantee(std::span<const double> calibration, double alpha, double delta);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_CALIBRATION_H_
