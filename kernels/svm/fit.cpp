#include "kernels/svm/fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "kernels/parallel.h"
#include "kernels/random.h"
#include "kernels/svm/fit_backend.h"

// Decomposition (Osuna, Freund, Girosi 1997; Joachims 1998) over problems of growing size. Each is started from the one
// before it, a sample of its rows: the ν·n rows of the least density by the sample's model get α = 1. That is close to
// the solution, in which the rows below ρ have α = 1 and only those at ρ lie between 0 and 1, so that what is left are
// a few working sets around ρ. libsvm starts from any ν·n rows, and takes a step for nearly every one of them.
namespace driftseal::kernels::svm {
namespace {

using tile::Blocks;
using tile::kBlockRows;

constexpr size_t kGrowth = 8;  ///< From one problem to the next.
/// Problems before the last need not be solved well: relative to ν·n, the scale of G.
constexpr double kSampleTolerance = 1e-4;
/// A working set is solved to this part of the violation over all rows: those outside of it move ρ anyway.
constexpr double kInnerTolerance = 0.03;

// ‖x'‖² up to here keeps the inner product's error within the bound (pack.cpp).
constexpr double kLongestForProducts = 8;
// ‖x' − y'‖² stays finite in float32.
constexpr double kLongest = 8e18;

// α = 1 for the first ν·n rows of `order`, and what is left for the next.
std::vector<double> StartFrom(std::span<const size_t> order, double sum) {
  std::vector<double> alpha(order.size());
  for (size_t i : order) {
    alpha[i] = std::min(1.0, sum);
    sum -= alpha[i];
    if (!(sum > 0)) break;
  }
  return alpha;
}

std::vector<size_t> ByDensity(std::span<const double> density) {
  std::vector<size_t> order(density.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return density[a] < density[b] || (density[a] == density[b] && a < b); });
  return order;
}

// libsvm's ρ: the mean of G over the free vectors; without any, the middle of what the KKT conditions allow.
double Rho(std::span<const double> alpha, std::span<const double> gradient) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  double sum = 0, above = kInf, below = -kInf;
  size_t free = 0;
  for (size_t i = 0; i < alpha.size(); ++i) {
    if (alpha[i] >= 1) {
      below = std::max(below, gradient[i]);
    } else if (alpha[i] <= 0) {
      above = std::min(above, gradient[i]);
    } else {
      sum += gradient[i];
      ++free;
    }
  }
  if (free > 0) return sum / static_cast<double>(free);
  return above == kInf ? below : (above + below) / 2;
}

// One problem, from the α that the backend was given. `whole`: its rows all fit into one working set.
void SolveProblem(FitBackend& backend, double tolerance, bool whole, uint64_t limit, FitResult& result) {
  while (backend.error() == 0) {
    const FitBounds bounds = backend.Select();
    result.violation = std::max(0.0, bounds.down - bounds.up);
    result.converged = result.violation <= tolerance;
    if (result.converged || result.steps >= limit) return;
    const double inner = whole ? 0 : kInnerTolerance * result.violation;
    result.steps += backend.Solve(std::max(tolerance / 2, inner), limit - result.steps);
    ++result.rounds;
  }
}

void SolveAll(FitBackend& backend, size_t rows, const FitOptions& options, FitResult& result) {
  std::vector<size_t> sizes = {rows};
  while (sizes.back() > options.working_set) sizes.push_back(std::max<size_t>(1, sizes.back() / kGrowth));
  const uint64_t limit = options.max_steps > 0 ? options.max_steps : std::max<uint64_t>(10'000'000, 100 * rows);
  std::vector<double> density(sizes.back());  // of the first problem, unknown: its rows as they come
  while (!sizes.empty() && backend.error() == 0) {
    const double sum = options.nu * static_cast<double>(sizes.back());
    backend.Begin(StartFrom(ByDensity(density), sum));
    const double loose = sizes.size() > 1 ? kSampleTolerance * sum : 0;
    SolveProblem(backend, std::max(options.tolerance, loose), sizes.back() <= options.working_set, limit, result);
    sizes.pop_back();
    if (sizes.empty()) break;
    density.resize(sizes.back());
    backend.Density(density);
  }
}

// The rows' mean, and how far from it a row lies at most.
double Centre(RowsView<double> rows, std::vector<double>& mean) {
  mean.assign(rows.cols, 0);
  const double part = 1 / static_cast<double>(rows.rows);
  for (size_t i = 0; i < rows.rows; ++i) {
    for (size_t c = 0; c < rows.cols; ++c) mean[c] += rows.row(i)[c] * part;
  }
  double unit = 0, longest = 0;  // squares of values / unit cannot overflow
  for (size_t i = 0; i < rows.rows; ++i) {
    for (size_t c = 0; c < rows.cols; ++c) unit = std::max(unit, std::abs(rows.row(i)[c] - mean[c]));
  }
  if (!(unit > 0)) return 0;
  for (size_t i = 0; i < rows.rows; ++i) {
    double squared = 0;
    for (size_t c = 0; c < rows.cols; ++c) {
      const double value = (rows.row(i)[c] - mean[c]) / unit;
      squared += value * value;
    }
    longest = std::max(longest, squared);
  }
  return unit * std::sqrt(longest);
}

}  // namespace

std::vector<size_t> FitOrder(size_t rows) {
  std::vector<size_t> order(rows);
  std::iota(order.begin(), order.end(), size_t{0});
  Random random(1);
  for (size_t i = rows; i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);
  return order;
}

FitRows PackFitRows(RowsView<double> rows, std::span<const size_t> order, const FitOptions& options) {
  std::vector<double> mean;
  const double longest = Centre(rows, mean);
  double scale = std::sqrt(2 * std::numbers::log2e) * std::sqrt(options.gamma);
  if (longest > 0) scale = std::min(scale, kLongest / longest);
  FitRows packed;
  packed.rows = rows.rows;
  packed.cols = rows.cols;
  packed.differences = !(scale * longest <= kLongestForProducts);
  packed.blocks = tile::Aligned<float>(tile::DataSize(rows.rows, rows.cols));
  ParallelFor(Blocks(rows.rows), options.threads, [&](size_t b, size_t) {
    float* block = packed.blocks.data() + b * rows.cols * kBlockRows;
    for (size_t r = 0; r < std::min(kBlockRows, rows.rows - b * kBlockRows); ++r) {
      const double* row = rows.row(order[b * kBlockRows + r]);
      for (size_t c = 0; c < rows.cols; ++c) block[c * kBlockRows + r] = static_cast<float>((row[c] - mean[c]) * scale);
    }
  });
  return packed;
}

FitResult FitWith(FitBackend& backend, RowsView<double> rows, std::span<const size_t> order,
                  const FitOptions& options) {
  FitResult result;
  SolveAll(backend, rows.rows, options, result);
  std::vector<double> alpha(rows.rows), gradient(rows.rows);
  backend.Read(alpha, gradient);
  result.error = backend.error();
  if (result.error != 0) return result;
  result.svm.cols = rows.cols;
  result.svm.gamma = options.gamma;
  result.svm.rho = Rho(alpha, gradient);
  result.objective = std::inner_product(alpha.begin(), alpha.end(), gradient.begin(), 0.0) / 2;
  std::vector<double> of_row(rows.rows);
  for (size_t i = 0; i < rows.rows; ++i) of_row[order[i]] = alpha[i];
  for (size_t i = 0; i < rows.rows; ++i) {
    if (!(of_row[i] > 0)) continue;
    result.rows.push_back(i);
    result.svm.alpha.push_back(of_row[i]);
    result.svm.vectors.insert(result.svm.vectors.end(), rows.row(i), rows.row(i) + rows.cols);
  }
  return result;
}

}  // namespace driftseal::kernels::svm
