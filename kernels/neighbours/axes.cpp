#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/neighbours/pack.h"
#include "kernels/random.h"

namespace driftseal::kernels::neighbours {
namespace {

constexpr size_t kSampled = 1024;  // Rows that directions are taken from, or somewhat more.
constexpr int kIterations = 6;

double Dot(const double* a, const double* b, size_t n) {
  double sums[4] = {};
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (size_t j = 0; j < 4; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

std::vector<double> Covariance(const Reference& reference, const std::vector<uint32_t>& rows,
                               const std::vector<double>& centre) {
  const size_t cols = reference.cols, step = std::max<size_t>(1, rows.size() / kSampled);
  std::vector<double> covariance(cols * cols), x(cols);
  for (size_t i = 0; i < rows.size(); i += step) {
    for (size_t c = 0; c < cols; ++c) {
      x[c] = static_cast<double>(reference.values[rows[i] * cols + c]) - centre[c];
    }
    for (size_t a = 0; a < cols; ++a) {
      for (size_t b = 0; b <= a; ++b) covariance[a * cols + b] += x[a] * x[b];
    }
  }
  double trace = 0;
  for (size_t a = 0; a < cols; ++a) trace += covariance[a * cols + a];
  // A little of the identity, so that no direction is lost where all rows lie in a plane or a point.
  const double little = trace > 0 ? 1e-9 * trace / static_cast<double>(cols) : 1;
  for (size_t a = 0; a < cols; ++a) {
    covariance[a * cols + a] += little;
    for (size_t b = a + 1; b < cols; ++b) covariance[a * cols + b] = covariance[b * cols + a];
  }
  return covariance;
}

void Randomise(Random& random, double* row, size_t n) {
  for (size_t i = 0; i < n; ++i) row[i] = random.Uniform() - 0.5;
}

// Gram and Schmidt, twice over: once leaves an error that grows with the condition.
void Orthonormalise(std::vector<double>& q, size_t axes, size_t cols, Random& random) {
  for (size_t a = 0; a < axes; ++a) {
    double* row = q.data() + a * cols;
    for (int tries = 0; tries < 4; ++tries) {
      const double before = std::sqrt(Dot(row, row, cols));
      for (int twice = 0; twice < 2; ++twice) {
        for (size_t b = 0; b < a; ++b) {
          const double* other = q.data() + b * cols;
          const double along = Dot(row, other, cols);
          for (size_t c = 0; c < cols; ++c) row[c] -= along * other[c];
        }
      }
      const double norm = std::sqrt(Dot(row, row, cols));
      if (norm > 1e-6 * before && norm > 0) {
        for (size_t c = 0; c < cols; ++c) row[c] /= norm;
        break;
      }
      Randomise(random, row, cols);
    }
  }
}

}  // namespace

std::vector<double> PrincipalAxes(const Reference& reference, const std::vector<uint32_t>& rows,
                                  const std::vector<double>& centre, size_t axes) {
  const size_t cols = reference.cols;
  const std::vector<double> covariance = Covariance(reference, rows, centre);
  Random random(1);
  std::vector<double> q(axes * cols), next(axes * cols);  // an axis a row
  Randomise(random, q.data(), q.size());
  Orthonormalise(q, axes, cols, random);
  for (int i = 0; i < kIterations; ++i) {
    std::fill(next.begin(), next.end(), 0.0);
    for (size_t a = 0; a < axes; ++a) {
      for (size_t b = 0; b < cols; ++b) {
        const double value = q[a * cols + b];
        for (size_t c = 0; c < cols; ++c) next[a * cols + c] += value * covariance[b * cols + c];
      }
    }
    q.swap(next);
    Orthonormalise(q, axes, cols, random);
  }
  for (size_t a = 0; a < axes; ++a) {
    for (size_t c = 0; c < cols; ++c) next[c * axes + a] = q[a * cols + c];
  }
  return next;
}

}  // namespace driftseal::kernels::neighbours
