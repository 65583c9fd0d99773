#include "engine/detector/one_class_svm.h"

#include <svm.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/detector/statistics.h"
#include "kernels/svm/fit.h"

namespace driftseal::detector {
namespace {

constexpr double kNu = 0.1;
constexpr double kTolerance = 1e-6;  // of the gradient, whose scale is ν·rows
/// Up to here libsvm takes milliseconds, with a kernel matrix in doubles; beyond, the other one is 3 to 300 times as
/// fast (kernels/svm/README.md).
constexpr size_t kMostLibsvmRows = 1000;
/// Pairs for the median heuristic: more rows do not move a median.
constexpr size_t kMostHeuristicRows = 500;

double MedianHeuristic(kernels::RowsView<double> rows) {
  const size_t n = std::min(rows.rows, kMostHeuristicRows);
  std::vector<double> squared;
  squared.reserve(n * (n - 1) / 2);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) {
      double sum = 0;
      for (size_t c = 0; c < rows.cols; ++c)
        sum += (rows.row(i)[c] - rows.row(j)[c]) * (rows.row(i)[c] - rows.row(j)[c]);
      squared.push_back(sum);
    }
  }
  const double median = Median(std::move(squared));
  return 1 / (median > 0 ? median : static_cast<double>(rows.cols));
}

svm_parameter Parameters(double gamma) {
  svm_parameter parameters{};
  parameters.svm_type = ONE_CLASS;
  parameters.kernel_type = RBF;
  parameters.gamma = gamma;
  parameters.nu = kNu;
  parameters.cache_size = 64;
  parameters.eps = kTolerance;
  parameters.shrinking = 1;
  return parameters;
}

struct FreeModel {
  void operator()(svm_model* model) const { svm_free_and_destroy_model(&model); }
};

kernels::svm::Svm FitLibsvm(kernels::RowsView<double> rows, double gamma) {
  static std::once_flag quiet;
  std::call_once(quiet, [] { svm_set_print_string_function([](const char*) {}); });

  // libsvm's sparse rows: (column from 1, value) pairs, ended by column -1.
  std::vector<svm_node> nodes;
  nodes.reserve(rows.rows * (rows.cols + 1));
  std::vector<svm_node*> starts;
  std::vector<double> labels(rows.rows, 1);
  for (size_t r = 0; r < rows.rows; ++r) {
    starts.push_back(nodes.data() + nodes.size());
    for (size_t c = 0; c < rows.cols; ++c) nodes.push_back({static_cast<int>(c + 1), rows.row(r)[c]});
    nodes.push_back({-1, 0});
  }
  const svm_problem problem{static_cast<int>(rows.rows), labels.data(), starts.data()};
  const svm_parameter parameters = Parameters(gamma);
  const std::unique_ptr<svm_model, FreeModel> model(svm_train(&problem, &parameters));

  kernels::svm::Svm svm;
  svm.cols = rows.cols;
  svm.gamma = gamma;
  svm.rho = model->rho[0];
  for (int i = 0; i < model->l; ++i) {
    const double* row = rows.row(static_cast<size_t>(model->sv_indices[i] - 1));
    svm.vectors.insert(svm.vectors.end(), row, row + rows.cols);
    svm.alpha.push_back(model->sv_coef[0][i]);
  }
  return svm;
}

}  // namespace

kernels::svm::Svm FitOneClassSvm(kernels::RowsView<double> rows) {
  const double gamma = MedianHeuristic(rows);
  if (rows.rows <= kMostLibsvmRows) return FitLibsvm(rows, gamma);
  return kernels::svm::Fit(rows, {.nu = kNu, .gamma = gamma, .tolerance = kTolerance}).svm;
}

}  // namespace driftseal::detector
