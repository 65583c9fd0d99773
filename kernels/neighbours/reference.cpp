#include <cassert>
#include <cmath>
#include <limits>

#include "kernels/neighbours/neighbours.h"

namespace driftseal::kernels::neighbours {
namespace {

double SquaredDistance(const double* a, const double* b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

/// Puts `value` in its place among the k smallest, which are in ascending order.
void Insert(std::span<double> smallest, double value) {
  if (!(value < smallest.back())) return;
  size_t i = smallest.size() - 1;
  for (; i > 0 && value < smallest[i - 1]; --i) smallest[i] = smallest[i - 1];
  smallest[i] = value;
}

double Score(const Neighbours& model, const double* x, std::span<double> smallest) {
  for (double& s : smallest) s = std::numeric_limits<double>::infinity();
  for (size_t r = 0; r < model.rows(); ++r) {
    Insert(smallest, SquaredDistance(x, model.reference.data() + r * model.cols, model.cols));
  }
  if (model.distance == Distance::kKth) return std::sqrt(smallest.back());
  double sum = 0;
  for (double s : smallest) sum += std::sqrt(s);
  return sum / static_cast<double>(smallest.size());
}

}  // namespace

size_t ScratchSize(const Neighbours& model) { return model.k; }

void ScoreReference(const Neighbours& model, RowsView<double> rows, std::span<double> scratch, std::span<double> out) {
  assert(rows.cols == model.cols && out.size() == rows.rows && scratch.size() >= model.k);
  assert(model.k >= 1 && model.k <= model.rows());
  for (size_t r = 0; r < rows.rows; ++r) {
    out[r] = AllFinite(rows.row(r), rows.cols) ? Score(model, rows.row(r), scratch.first(model.k))
                                               : std::numeric_limits<double>::quiet_NaN();
  }
}

}  // namespace driftseal::kernels::neighbours
