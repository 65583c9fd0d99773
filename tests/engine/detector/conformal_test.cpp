#include <gtest/gtest.h>

#include <cmath>

#include "engine/detector/detector.h"
#include "fleet.h"

// The promise that everything rests on: of clean models at most a share α gets p <= α.
namespace driftseal::detector {
namespace {

struct Alarms {
  size_t fits = 0, rows = 0, at_5 = 0, at_10 = 0;
};

Alarms Simulate(size_t fits, size_t models, size_t fresh, bool heavy_tails) {
  Alarms alarms;
  for (size_t fit = 0; fit < fits; ++fit) {
    Fleet fleet(6, 1000 + fit, 2);
    const auto row = [&] {
      auto values = fleet.Row();
      if (heavy_tails) {  // a column with tails, and one that departs from a constant now and then
        values[0] = values[0] * values[0] * values[0];
        values[5] = fleet.Normal() > 2 ? 1 : 0;
      }
      return values;
    };
    std::vector<Sample> samples;
    for (size_t i = 0; i < models; ++i) samples.push_back({std::to_string(i), "a", row()});
    FitOptions options = WithoutAutoencoder();
    options.members = {"svm", "mahalanobis", "knn"};
    options.seed = fit;
    const auto detector = Detector::Fit(fleet.Schema(), samples, options);
    if (!detector.ok()) std::abort();
    size_t alarms_5 = 0;
    for (size_t i = 0; i < fresh; ++i) {
      const double p = *detector->ScoreRow(row(), "a")->p_value;
      alarms_5 += p <= 0.05;
      alarms.at_10 += p <= 0.10;
    }
    alarms.at_5 += alarms_5;
    alarms.rows += fresh;
    ++alarms.fits;
  }
  return alarms;
}

/// Rows of one fit share its calibration set, so their alarms are not independent: given the set, the share of alarms
/// is Beta(k, n+1−k) distributed with k = ⌊α(n+1)⌋. Four standard deviations of the mean over fits above k/(n+1).
double Bound(const Alarms& alarms, double alpha, size_t n) {
  const double m = static_cast<double>(n + 1), k = std::floor(alpha * m + 1e-9), rate = k / m;
  const double fresh = static_cast<double>(alarms.rows) / static_cast<double>(alarms.fits);
  const double variance =
      rate * (1 - rate) * (1 / (m + 1) + (1 - 1 / (m + 1)) / fresh) / static_cast<double>(alarms.fits);
  return rate + 4 * std::sqrt(variance);
}

void ExpectValid(const Alarms& alarms, size_t calibrated_on) {
  const double at_5 = static_cast<double>(alarms.at_5) / static_cast<double>(alarms.rows);
  const double at_10 = static_cast<double>(alarms.at_10) / static_cast<double>(alarms.rows);
  EXPECT_LE(at_5, Bound(alarms, 0.05, calibrated_on));
  EXPECT_LE(at_10, Bound(alarms, 0.10, calibrated_on));
  // And not valid by never saying anything: the continuous scores use up what they are allowed.
  EXPECT_GE(at_10, 0.05);
}

TEST(ConformalValidity, GaussianRows) { ExpectValid(Simulate(100, 78, 60, false), 39); }

TEST(ConformalValidity, HeavyTailsAndDeparturesFromConstants) { ExpectValid(Simulate(100, 78, 60, true), 39); }

}  // namespace
}  // namespace driftseal::detector
