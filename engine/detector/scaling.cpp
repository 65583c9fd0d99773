#include "engine/detector/scaling.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "engine/detector/statistics.h"
#include "kernels/ensemble/ensemble.h"

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

bool Departs(const ConstantColumn& constant, double value) {
  return std::abs(value - constant.value) > kDeparture * Size(constant.value);  // false for NaN
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

template <class In, class Out>
RowMarks ScaleInto(const Scaler& scaler, const In* row, Out* out) {
  RowMarks marks;
  const double bound = ClipBound(scaler);
  const bool narrows = std::is_same_v<Out, float> && !scaler.clip;  // What is clipped lies within float32's range.
  for (size_t c = 0; c < scaler.columns.size(); ++c) {
    const Column& column = scaler.columns[c];
    const double value = row[column.feature];
    const double scaled = ScaledValue(column, bound, value);
    out[c] = narrows ? kernels::ensemble::Narrow(scaled) : static_cast<Out>(scaled);
    marks.imputed += value != value;
  }
  for (const ConstantColumn& constant : scaler.constants) marks.departed += Departs(constant, row[constant.feature]);
  return marks;
}
template RowMarks ScaleInto(const Scaler&, const float*, float*);
template RowMarks ScaleInto(const Scaler&, const float*, double*);
template RowMarks ScaleInto(const Scaler&, const double*, double*);

ScaledRow Scale(const Scaler& scaler, std::span<const double> row) {
  ScaledRow scaled;
  scaled.values.resize(scaler.columns.size());
  const RowMarks marks = ScaleInto(scaler, row.data(), scaled.values.data());
  for (uint32_t c = 0; marks.imputed > 0 && c < scaler.columns.size(); ++c) {
    if (std::isnan(row[scaler.columns[c].feature])) scaled.imputed.push_back(c);
  }
  for (uint32_t c = 0; marks.departed > 0 && c < scaler.constants.size(); ++c) {
    if (Departs(scaler.constants[c], row[scaler.constants[c].feature])) scaled.departed.push_back(c);
  }
  return scaled;
}

}  // namespace driftseal::detector
