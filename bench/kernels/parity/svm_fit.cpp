#include "parity/svm_fit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace driftseal::kernels::parity {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// G = Qα, from the definition.
std::vector<double> Gradient(const SvmProblem& problem, std::span<const double> alpha) {
  const RowsView<float>& rows = problem.rows;
  std::vector<double> gradient(rows.rows);
  for (size_t j = 0; j < rows.rows; ++j) {
    if (alpha[j] == 0) continue;
    for (size_t i = 0; i < rows.rows; ++i) {
      double squared = 0;
      for (size_t c = 0; c < rows.cols; ++c) {
        const double difference = static_cast<double>(rows.row(i)[c]) - static_cast<double>(rows.row(j)[c]);
        squared += difference * difference;
      }
      gradient[i] += alpha[j] * std::exp(-problem.gamma * squared);
    }
  }
  return gradient;
}

// Counts one condition: `value` must not exceed `bound`.
void Expect(Outcome& outcome, const std::string& name, double value, double bound) {
  if (!(value <= bound)) {
    outcome.failures.push_back(name + ": " + std::to_string(value) + ", expected at most " + std::to_string(bound));
  }
  if (bound > 0 && std::isfinite(value)) outcome.largest = std::max(outcome.largest, value / bound);
}

void Check(const std::string& name, const SvmProblem& problem, const SvmFitter& fit, Outcome& outcome) {
  const size_t n = problem.rows.rows;
  const double sum = problem.nu * static_cast<double>(n), slack = problem.tolerance + 1e-6 * sum;
  const SvmSolution solution = fit(problem);
  ++outcome.cases;
  outcome.rows += n;
  if (solution.alpha.size() != n) {
    outcome.failures.push_back(name + ": expected an alpha for every row");
    return;
  }
  const auto [least, most] = std::minmax_element(solution.alpha.begin(), solution.alpha.end());
  Expect(outcome, name + ", -min alpha", -*least, 0);
  Expect(outcome, name + ", max alpha", *most, 1);
  const double got = std::accumulate(solution.alpha.begin(), solution.alpha.end(), 0.0);
  Expect(outcome, name + ", sum of alpha", std::abs(got - sum), 1e-9 * sum);
  const std::vector<double> gradient = Gradient(problem, solution.alpha);
  double up = kInf, down = -kInf, objective = 0;
  for (size_t i = 0; i < n; ++i) {
    if (solution.alpha[i] < 1) up = std::min(up, gradient[i]);
    if (solution.alpha[i] > 0) down = std::max(down, gradient[i]);
    objective += solution.alpha[i] * gradient[i] / 2;
  }
  Expect(outcome, name + ", KKT violation", std::max(0.0, down - up), slack);
  Expect(outcome, name + ", rho", std::max({0.0, down - solution.rho, solution.rho - up}), slack);
  Expect(outcome, name + ", objective", std::abs(solution.objective - objective), 1e-6 * objective);
}

}  // namespace

Outcome CheckSvmFit(const SvmFitter& fit) {
  Outcome outcome;
  Random random(31);
  const auto check = [&](const std::string& name, const std::vector<float>& values, size_t cols, double nu,
                         double gamma, double tolerance) {
    const SvmProblem problem{{values.data(), values.size() / cols, cols}, nu, gamma, tolerance};
    Check(name, problem, fit, outcome);
  };
  for (size_t rows : {1, 2, 3, 63, 64, 65, 500, 1024, 1025, 3000}) {
    for (size_t cols : {1, 16, 70}) {
      for (double nu : {0.01, 0.25, 1.0}) {
        const std::string name = std::to_string(rows) + " x " + std::to_string(cols) + ", nu " + std::to_string(nu);
        if (rows == 3000 && cols == 70) continue;  // the definition takes its time
        check(name, NormalRows(random, rows, cols), cols, nu, 1.0 / static_cast<double>(cols), 1e-4);
      }
    }
  }
  std::vector<float> values = NormalRows(random, 600, 8);
  check("gamma so large that Q is the identity", values, 8, 0.1, 1e6, 1e-6);
  check("gamma so small that Q is all ones", values, 8, 0.1, 1e-9, 1e-3);
  for (float& value : values) value += 1e3F;
  check("far from the origin", values, 8, 0.1, 0.1, 1e-5);
  values[0] += 1e3F;
  values[40] -= 3e4F;
  check("with outliers", values, 8, 0.1, 0.1, 1e-5);
  std::copy_n(values.begin(), values.size() / 2, values.begin() + static_cast<ptrdiff_t>(values.size() / 2));
  check("every row twice", values, 8, 0.1, 0.1, 1e-5);
  check("all rows equal", std::vector<float>(1500 * 3, 4.25F), 3, 0.3, 1, 1e-5);
  return outcome;
}

}  // namespace driftseal::kernels::parity
