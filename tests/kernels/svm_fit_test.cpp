#include "parity/svm_fit.h"

#include <gtest/gtest.h>
#include <svm.h>

#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <numeric>
#include <tuple>

#include "kernels/random.h"
#include "kernels/svm/fit.h"
#include "simd_scorer.h"

namespace driftseal::kernels::svm {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

double Normal(Random& random) {
  return std::sqrt(-2 * std::log(1 - random.Uniform())) * std::cos(2 * std::numbers::pi * random.Uniform());
}

struct Data {
  std::vector<double> values;
  size_t rows, cols;
  RowsView<double> view() const { return {values.data(), rows, cols}; }
};

/// Three clusters of different widths.
Data Clusters(size_t rows, size_t cols, uint64_t seed) {
  Random random(seed);
  Data data{std::vector<double>(rows * cols), rows, cols};
  for (size_t i = 0; i < rows; ++i) {
    const auto cluster = static_cast<double>(random.Below(3));
    for (size_t c = 0; c < cols; ++c) data.values[i * cols + c] = 2 * cluster + (0.3 + 0.4 * cluster) * Normal(random);
  }
  return data;
}

/// Of all rows; α of the result spread over them.
std::vector<double> AllAlpha(const FitResult& result, size_t rows) {
  std::vector<double> alpha(rows);
  for (size_t i = 0; i < result.rows.size(); ++i) alpha[result.rows[i]] = result.svm.alpha[i];
  return alpha;
}

struct Libsvm {
  std::vector<double> alpha;
  double rho;
};

Libsvm FitLibsvm(const Data& data, const FitOptions& options) {
  svm_set_print_string_function([](const char*) {});
  std::vector<svm_node> nodes;
  nodes.reserve(data.rows * (data.cols + 1));
  std::vector<svm_node*> starts;
  for (size_t i = 0; i < data.rows; ++i) {
    starts.push_back(nodes.data() + nodes.size());
    for (size_t c = 0; c < data.cols; ++c) nodes.push_back({static_cast<int>(c + 1), data.values[i * data.cols + c]});
    nodes.push_back({-1, 0});
  }
  std::vector<double> labels(data.rows, 1);
  const svm_problem problem{static_cast<int>(data.rows), labels.data(), starts.data()};
  svm_parameter parameters{};
  parameters.svm_type = ONE_CLASS;
  parameters.kernel_type = RBF;
  parameters.gamma = options.gamma;
  parameters.nu = options.nu;
  parameters.cache_size = 200;
  parameters.eps = options.tolerance;
  parameters.shrinking = 1;
  svm_model* model = svm_train(&problem, &parameters);
  Libsvm result{std::vector<double>(data.rows), model->rho[0]};
  for (int i = 0; i < model->l; ++i) {
    result.alpha[static_cast<size_t>(model->sv_indices[i] - 1)] = model->sv_coef[0][i];
  }
  svm_free_and_destroy_model(&model);
  return result;
}

/// G = Qα in doubles, from the definition.
std::vector<double> Gradient(const Data& data, double gamma, const std::vector<double>& alpha) {
  std::vector<double> gradient(data.rows);
  for (size_t j = 0; j < data.rows; ++j) {
    if (alpha[j] == 0) continue;
    for (size_t i = 0; i < data.rows; ++i) {
      double squared = 0;
      for (size_t c = 0; c < data.cols; ++c) {
        const double difference = data.values[i * data.cols + c] - data.values[j * data.cols + c];
        squared += difference * difference;
      }
      gradient[i] += alpha[j] * std::exp(-gamma * squared);
    }
  }
  return gradient;
}

double Objective(const std::vector<double>& alpha, const std::vector<double>& gradient) {
  return std::inner_product(alpha.begin(), alpha.end(), gradient.begin(), 0.0) / 2;
}

/// What G may be off by: the tolerance and float32's part (fit.h).
double Slack(const Data& data, const FitOptions& options) {
  return options.tolerance + 1e-6 * options.nu * static_cast<double>(data.rows);
}

/// The constraints, the KKT conditions and what the result says of itself, all from the definition.
std::vector<double> ExpectSolution(const Data& data, const FitOptions& options, const FitResult& result) {
  EXPECT_TRUE(result.converged);
  EXPECT_EQ(result.error, 0);
  EXPECT_LE(result.violation, options.tolerance);
  EXPECT_EQ(result.svm.cols, data.cols);
  EXPECT_EQ(result.svm.gamma, options.gamma);
  EXPECT_EQ(result.svm.vectors.size(), result.svm.alpha.size() * data.cols);
  EXPECT_TRUE(std::is_sorted(result.rows.begin(), result.rows.end()));
  for (size_t i = 0; i < result.rows.size(); ++i) {
    EXPECT_TRUE(std::equal(data.values.begin() + static_cast<ptrdiff_t>(result.rows[i] * data.cols),
                           data.values.begin() + static_cast<ptrdiff_t>((result.rows[i] + 1) * data.cols),
                           result.svm.vectors.begin() + static_cast<ptrdiff_t>(i * data.cols)));
  }
  const auto alpha = AllAlpha(result, data.rows);
  double sum = 0;
  for (double a : alpha) {
    EXPECT_GE(a, 0);
    EXPECT_LE(a, 1);
    sum += a;
  }
  const double expected = options.nu * static_cast<double>(data.rows);
  EXPECT_NEAR(sum, expected, 1e-12 * expected * static_cast<double>(result.steps + 1));
  const auto gradient = Gradient(data, options.gamma, alpha);
  double up = kInf, down = -kInf;
  for (size_t i = 0; i < data.rows; ++i) {
    if (alpha[i] < 1) up = std::min(up, gradient[i]);
    if (alpha[i] > 0) down = std::max(down, gradient[i]);
  }
  const double slack = Slack(data, options);
  EXPECT_LE(down - up, slack);
  EXPECT_GE(result.svm.rho, down - slack);
  if (up < kInf) {
    EXPECT_LE(result.svm.rho, up + slack);
  }
  EXPECT_NEAR(result.objective, Objective(alpha, gradient), 3e-7 * result.objective);
  return gradient;
}

void ExpectLibsvms(const Data& data, const FitOptions& options, const FitResult& result) {
  const auto gradient = ExpectSolution(data, options, result);
  const Libsvm theirs = FitLibsvm(data, options);
  const auto their_gradient = Gradient(data, options.gamma, theirs.alpha);
  const double ours = Objective(AllAlpha(result, data.rows), gradient);
  const double objective = Objective(theirs.alpha, their_gradient);
  // The gap of a solution is at most violation·Σα; the issue asks for 1e-3 relative.
  const double gap = 2 * Slack(data, options) * options.nu * static_cast<double>(data.rows);
  EXPECT_NEAR(ours, objective, std::min(gap, 1e-3 * objective));
  if (options.tolerance <= 1e-5) {
    EXPECT_NEAR(ours, objective, 1e-6 * objective);
  }
  if (!std::isfinite(theirs.rho)) return;  // ν = 1
  const double slack = 2 * Slack(data, options);
  EXPECT_NEAR(result.svm.rho, theirs.rho, slack);
  // Decision functions on the rows. α need not be unique, but Qα is: by as much as the objective is off.
  const double off = slack + std::sqrt(2 * gap);
  double largest = 0;
  for (size_t i = 0; i < data.rows; ++i) {
    largest = std::max(largest, std::abs((gradient[i] - result.svm.rho) - (their_gradient[i] - theirs.rho)));
  }
  EXPECT_LE(largest, off);
}

using Case = std::tuple<size_t, size_t, double, double, double>;  // rows, cols, ν, γ·cols, tolerance

class SvmFit : public testing::TestWithParam<Case> {};

TEST_P(SvmFit, HasLibsvmsObjective) {
  const auto [rows, cols, nu, gamma, tolerance] = GetParam();
  const Data data = Clusters(rows, cols, rows + cols);
  const FitOptions options{
      .nu = nu, .gamma = gamma / static_cast<double>(cols), .tolerance = tolerance, .working_set = 256};
  ExpectLibsvms(data, options, Fit(data.view(), options));
}

INSTANTIATE_TEST_SUITE_P(Sizes, SvmFit,
                         testing::Combine(testing::Values<size_t>(64, 700), testing::Values<size_t>(1, 9),
                                          testing::Values(0.02, 0.1, 0.5), testing::Values(0.1, 1.0, 20.0),
                                          testing::Values(1e-3, 1e-6)));
INSTANTIATE_TEST_SUITE_P(Large, SvmFit,
                         testing::Values(Case{5000, 16, 0.1, 1.0, 1e-3}, Case{5000, 4, 0.3, 5.0, 1e-5},
                                         Case{2000, 300, 0.1, 1.0, 1e-5}));

/// Few rows, ν·n integral and not, ν = 1, and ν so small that Σα < 1.
TEST(SvmFitSmall, EveryNu) {
  for (size_t rows : {1u, 2u, 3u, 4u, 5u, 10u}) {
    const Data data = Clusters(rows, 2, rows);
    for (double nu : {1e-9, 1e-3, 0.1, 0.25, 0.3, 0.5, 2.0 / 3, 0.9, 1.0}) {
      SCOPED_TRACE(testing::Message() << rows << " rows, nu " << nu);
      const FitOptions options{.nu = nu, .gamma = 0.3, .tolerance = 1e-6};
      ExpectLibsvms(data, options, Fit(data.view(), options));
    }
  }
}

TEST(SvmFitSmall, TwoRowsByHand) {
  const Data data{{0, 2}, 2, 1};
  const FitResult result = Fit(data.view(), {.nu = 0.5, .gamma = 0.25, .tolerance = 1e-9});
  ASSERT_EQ(result.svm.alpha.size(), 2u);
  EXPECT_NEAR(result.svm.alpha[0], 0.5, 1e-8);
  EXPECT_NEAR(result.svm.alpha[1], 0.5, 1e-8);
  EXPECT_NEAR(result.svm.rho, 0.5 + 0.5 * std::exp(-1.0), 1e-6);
  EXPECT_NEAR(result.objective, 0.25 * (1 + std::exp(-1.0)), 1e-6);
}

TEST(SvmFitSmall, NuOneTakesEveryRow) {
  const Data data = Clusters(700, 3, 1);
  const FitOptions options{.nu = 1, .gamma = 1, .working_set = 64};
  const FitResult result = Fit(data.view(), options);
  const auto gradient = ExpectSolution(data, options, result);
  EXPECT_EQ(result.steps, 0u);
  EXPECT_EQ(result.svm.alpha, std::vector<double>(700, 1.0));
  EXPECT_NEAR(result.svm.rho, *std::max_element(gradient.begin(), gradient.end()), 1e-3);
}

TEST(SvmFitDegenerate, AllRowsEqual) {
  for (size_t rows : {2u, 100u, 1000u}) {
    const Data data{std::vector<double>(rows * 3, 4.25), rows, 3};
    const FitOptions options{.nu = 0.35, .gamma = 1, .working_set = 128};
    const FitResult result = Fit(data.view(), options);
    ExpectSolution(data, options, result);
    EXPECT_NEAR(result.svm.rho, 0.35 * static_cast<double>(rows), 1e-4);
  }
}

TEST(SvmFitDegenerate, EveryRowManyTimes) {
  const Data once = Clusters(40, 5, 3);
  Data data{{}, 1200, 5};
  for (size_t i = 0; i < 30; ++i) data.values.insert(data.values.end(), once.values.begin(), once.values.end());
  for (size_t working_set : {2u, 64u, 4096u}) {
    const FitOptions options{.nu = 0.2, .gamma = 0.5, .working_set = working_set};
    ExpectLibsvms(data, options, Fit(data.view(), options));
  }
}

/// Q is the identity: every α is ν.
TEST(SvmFitDegenerate, HugeGamma) {
  const Data data = Clusters(600, 4, 5);
  for (double gamma : {1e6, 1e30, 1e300}) {
    const FitOptions options{.nu = 0.1, .gamma = gamma, .tolerance = 1e-6, .working_set = 100};
    const FitResult result = Fit(data.view(), options);
    ExpectSolution(data, options, result);
    ASSERT_EQ(result.svm.alpha.size(), 600u);
    for (double alpha : result.svm.alpha) EXPECT_NEAR(alpha, 0.1, 1e-6);
    EXPECT_NEAR(result.svm.rho, 0.1, 1e-6);
  }
}

/// Q is all ones, up to rounding.
TEST(SvmFitDegenerate, TinyGamma) {
  const Data data = Clusters(300, 4, 6);
  for (double gamma : {1e-12, 1e-300}) {
    const FitOptions options{.nu = 0.1, .gamma = gamma};
    EXPECT_NEAR(Fit(data.view(), options).svm.rho, 30, 1e-3);
  }
}

TEST(SvmFitDegenerate, FarFromTheOriginAndOutliers) {
  Data data = Clusters(800, 3, 7);
  for (double& value : data.values) value += 1e5;
  const FitOptions options{.nu = 0.1, .gamma = 0.5, .tolerance = 1e-5, .working_set = 200};
  ExpectLibsvms(data, options, Fit(data.view(), options));
  data.values[0] += 1e4;  // ‖x'‖² above 64: squared distances are summed as differences
  data.values[30] -= 3e4;
  ExpectLibsvms(data, options, Fit(data.view(), options));
}

TEST(SvmFitDegenerate, ValuesBeyondFloat) {
  const Data data{{0, 1e200, -1e200, 3e199, 2e199, -5e199}, 6, 1};
  const FitOptions options{.nu = 0.5, .gamma = 1e-300, .tolerance = 1e-6};
  const FitResult result = Fit(data.view(), options);  // squares overflow double: Q is the identity
  EXPECT_TRUE(result.converged);
  for (double alpha : result.svm.alpha) EXPECT_NEAR(alpha, 0.5, 1e-6);
}

void ExpectEqual(const FitResult& a, const FitResult& b) {
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.svm.alpha, b.svm.alpha);  // to the bit
  EXPECT_EQ(a.svm.rho, b.svm.rho);
  EXPECT_EQ(a.objective, b.objective);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.rounds, b.rounds);
}

TEST(SvmFit, DoesNotDependOnTheThreads) {
  const Data data = Clusters(3000, 11, 9);
  const auto fit = [&](size_t threads) {
    return Fit(data.view(), {.nu = 0.1, .gamma = 0.2, .working_set = 300, .threads = threads});
  };
  const FitResult one = fit(1);
  EXPECT_GT(one.rounds, 3u);
  for (size_t threads : {0u, 2u, 3u, 7u}) ExpectEqual(one, fit(threads));
}

TEST(SvmFit, DoesNotDependOnTheWorkingSet) {
  const Data data = Clusters(1000, 5, 10);
  for (size_t working_set : {2u, 3u, 17u, 64u, 65u, 999u, 1000u, 5000u}) {
    SCOPED_TRACE(working_set);
    const FitOptions options{.nu = 0.1, .gamma = 0.2, .tolerance = 1e-5, .working_set = working_set};
    ExpectLibsvms(data, options, Fit(data.view(), options));
  }
}

TEST(SvmFit, StopsAtTheLimit) {
  const Data data = Clusters(1000, 5, 11);
  FitOptions options{.nu = 0.1, .gamma = 2, .tolerance = 1e-6, .working_set = 64};
  const FitResult all = Fit(data.view(), options);
  ASSERT_TRUE(all.converged);
  options.max_steps = all.steps / 2;
  const FitResult half = Fit(data.view(), options);
  EXPECT_FALSE(half.converged);
  EXPECT_EQ(half.steps, options.max_steps);
  EXPECT_GT(half.violation, options.tolerance);
  EXPECT_GE(half.objective, all.objective);
  EXPECT_NEAR(std::accumulate(half.svm.alpha.begin(), half.svm.alpha.end(), 0.0), 100, 1e-9);
}

class SvmFitIsa : public testing::TestWithParam<device::Isa> {};

TEST_P(SvmFitIsa, HasLibsvmsObjective) {
  const FitOptions options{.nu = 0.1, .gamma = 0.2, .tolerance = 1e-5, .working_set = 100, .isa = &GetParam()};
  for (size_t rows : {1u, 65u, 700u}) {
    const Data data = Clusters(rows, 9, rows);
    ExpectLibsvms(data, options, Fit(data.view(), options));
  }
  Data data = Clusters(300, 9, 12);
  data.values[0] += 1e4;
  ExpectLibsvms(data, options, Fit(data.view(), options));
}

/// What the GPU's solver is held against too.
TEST_P(SvmFitIsa, HoldsTheDefinition) {
  const auto fit = [&](const parity::SvmProblem& problem) {
    const std::vector<double> rows = parity::Widen({problem.rows.data, problem.rows.rows * problem.rows.cols});
    const FitResult result =
        Fit({rows.data(), problem.rows.rows, problem.rows.cols},
            {.nu = problem.nu, .gamma = problem.gamma, .tolerance = problem.tolerance, .isa = &GetParam()});
    return parity::SvmSolution{AllAlpha(result, problem.rows.rows), result.svm.rho, result.objective};
  };
  ExpectParity(parity::CheckSvmFit(fit), 90);
}

INSTANTIATE_TEST_SUITE_P(Isas, SvmFitIsa, testing::ValuesIn(device::SupportedIsas()), IsaName);

}  // namespace
}  // namespace driftseal::kernels::svm
