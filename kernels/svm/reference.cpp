#include <cassert>
#include <cmath>
#include <limits>

#include "kernels/svm/svm.h"

namespace driftseal::kernels::svm {

static double SquaredDistance(const double* a, const double* b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

void ScoreReference(const Svm& svm, RowsView<double> rows, std::span<double> out) {
  assert(rows.cols == svm.cols && out.size() == rows.rows);
  for (size_t r = 0; r < rows.rows; ++r) {
    const double* x = rows.row(r);
    if (!AllFinite(x, rows.cols)) {
      out[r] = std::numeric_limits<double>::quiet_NaN();
      continue;
    }
    double sum = 0;
    for (size_t i = 0; i < svm.alpha.size(); ++i) {
      const double squared = SquaredDistance(x, svm.vectors.data() + i * svm.cols, svm.cols);
      sum += svm.alpha[i] * std::exp(-svm.gamma * squared);
    }
    out[r] = svm.rho - sum;
  }
}

}  // namespace driftseal::kernels::svm
