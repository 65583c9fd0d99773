#include "engine/detector/scaling.h"

#include <algorithm>
#include <cmath>

#include "engine/detector/statistics.h"

namespace driftseal::detector {
namespace {

/// Fingerprints are float32: two values nearer than this, relative to their size, are the same value.
constexpr double kSame = 1e-6;
/// A departure must be clear of that, so that a sum taken in another order is none.
constexpr double kDeparture = 1e-5;
/// "Relative to their size" of values around zero.
constexpr double kSmallest = 1e-6;

double Size(double value) { return std::max(std::abs(value), kSmallest); }

double RobustScale(const std::vector<double>& sorted, double median) {
  double scale = kMadToSigma * MedianDeviation(sorted, median);
  const double floor = kSame * Size(median);
  if (!(scale > floor)) scale = kIqrToSigma * (Quantile(sorted, 0.75) - Quantile(sorted, 0.25));
  if (!(scale > floor)) scale = StandardDeviation(sorted);
  return std::max(scale, floor);
}

}  // namespace

Scaler FitScaler(kernels::RowsView<double> rows) {
  Scaler scaler;
  scaler.clip = kClip;
  std::vector<double> present;
  for (size_t feature = 0; feature < rows.cols; ++feature) {
    present.clear();
    for (size_t r = 0; r < rows.rows; ++r) {
      if (!std::isnan(rows.row(r)[feature])) present.push_back(rows.row(r)[feature]);
    }
    if (present.empty() || 2 * present.size() < rows.rows) continue;
    std::sort(present.begin(), present.end());
    const double median = Quantile(present, 0.5);
    const double scale = RobustScale(present, median);
    const bool varies = present.back() - present.front() > kSame * Size(median);
    if (varies && std::isfinite(scale) && scale > 0) {
      scaler.columns.push_back({static_cast<uint32_t>(feature), median, scale});
    } else {
      scaler.constants.push_back({static_cast<uint32_t>(feature), median});
    }
  }
  return scaler;
}

ScaledRow Scale(const Scaler& scaler, std::span<const double> row) {
  ScaledRow scaled;
  scaled.values.reserve(scaler.columns.size());
  for (size_t c = 0; c < scaler.columns.size(); ++c) {
    const Column& column = scaler.columns[c];
    const double value = row[column.feature];
    if (std::isnan(value)) scaled.imputed.push_back(static_cast<uint32_t>(c));
    double z = std::isnan(value) ? 0 : (value - column.centre) / column.scale;
    if (scaler.clip) z = std::clamp(z, -*scaler.clip, *scaler.clip);
    scaled.values.push_back(z);
  }
  for (size_t c = 0; c < scaler.constants.size(); ++c) {
    const ConstantColumn& constant = scaler.constants[c];
    const double value = row[constant.feature];
    if (std::abs(value - constant.value) > kDeparture * Size(constant.value)) {  // false for NaN
      scaled.departed.push_back(static_cast<uint32_t>(c));
    }
  }
  return scaled;
}

bool MostlyMissing(const Scaler& scaler, const ScaledRow& row) {
  return 2 * row.imputed.size() > scaler.columns.size();
}

}  // namespace driftseal::detector
