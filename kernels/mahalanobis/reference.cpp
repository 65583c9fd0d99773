#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "kernels/mahalanobis/mahalanobis.h"

namespace driftseal::kernels::mahalanobis {
namespace {

/// v · (x − mean)
double Project(const Mahalanobis& model, const double* direction, const double* x) {
  double sum = 0;
  for (size_t i = 0; i < model.mean.size(); ++i) sum += direction[i] * (x[i] - model.mean[i]);
  return sum;
}

double SquaredDistance(const Mahalanobis& model, const double* x) {
  const size_t cols = model.mean.size();
  double sum = 0;
  for (size_t i = 0; i < cols; ++i) sum += (x[i] - model.mean[i]) * (x[i] - model.mean[i]);
  sum *= model.isotropic;
  for (size_t j = 0; j < model.weights.size(); ++j) {
    const double projection = Project(model, model.directions.data() + j * cols, x);
    sum += model.weights[j] * projection * projection;
  }
  // inf − inf: the row is too far away for a double.
  return std::isnan(sum) ? std::numeric_limits<double>::infinity() : std::max(sum, 0.0);
}

}  // namespace

void ScoreReference(const Mahalanobis& model, RowsView<double> rows, std::span<double> out) {
  assert(rows.cols == model.mean.size() && out.size() == rows.rows);
  for (size_t r = 0; r < rows.rows; ++r) {
    out[r] = AllFinite(rows.row(r), rows.cols) ? SquaredDistance(model, rows.row(r))
                                               : std::numeric_limits<double>::quiet_NaN();
  }
}

void ContributionsReference(const Mahalanobis& model, const double* row, std::span<double> out) {
  const size_t cols = model.mean.size();
  assert(out.size() == cols);
  for (size_t i = 0; i < cols; ++i) out[i] = model.isotropic * (row[i] - model.mean[i]);
  for (size_t j = 0; j < model.weights.size(); ++j) {
    const double* direction = model.directions.data() + j * cols;
    const double scale = model.weights[j] * Project(model, direction, row);
    for (size_t i = 0; i < cols; ++i) out[i] += scale * direction[i];
  }
  for (size_t i = 0; i < cols; ++i) out[i] *= row[i] - model.mean[i];
}

}  // namespace driftseal::kernels::mahalanobis
