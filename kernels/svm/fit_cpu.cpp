#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "kernels/parallel.h"
#include "kernels/svm/fit_backend.h"
#include "kernels/svm/fit_simd.h"

namespace driftseal::kernels::svm {
namespace {

using tile::Aligned;
using tile::Blocks;
using tile::kBlockRows;

/// Blocks of rows for which a column is fetched once; their own features come again for every 16 columns.
constexpr size_t kMostGroupBlocks = 16;
constexpr double kInf = std::numeric_limits<double>::infinity();

// On the cores of this machine. Each row's sums are one thread's, in the order of the columns, so that the number of
// threads changes nothing.
class CpuBackend : public FitBackend {
 public:
  CpuBackend(const FitRows& rows, const FitOptions& options)
      : threads_(ThreadCount(options.threads)),
        kernels_(FitKernelsFor(options.isa != nullptr ? *options.isa : device::SupportedIsas().front())),
        rows_(rows),
        norms_(tile::FiniteSize(rows.rows)),
        working_set_(options.working_set) {
    ParallelFor(Blocks(rows.rows), threads_, [&](size_t b, size_t) {
      kernels_.fill_norms(rows.blocks.data() + b * rows.cols * kBlockRows, rows.cols, norms_.data() + b * kBlockRows);
    });
  }

  void Begin(std::span<const double> alpha) override {
    alpha_.assign(alpha.begin(), alpha.end());
    gradient_ = Aligned<double>(Blocks(alpha.size()) * kBlockRows);
    AddSums(SupportVectors(), alpha.size(), gradient_.data());
  }

  void Density(std::span<double> sums) override {
    Aligned<double> padded(Blocks(sums.size()) * kBlockRows);
    AddSums(SupportVectors(), sums.size(), padded.data());
    std::copy_n(padded.data(), sums.size(), sums.data());
  }

  FitBounds Select() override;
  uint64_t Solve(double tolerance, uint64_t limit) override;

  void Read(std::span<double> alpha, std::span<double> gradient) override {
    std::copy_n(alpha_.data(), alpha.size(), alpha.data());
    std::copy_n(gradient_.data(), gradient.size(), gradient.data());
  }

 private:
  /// Some of the rows, and a weight each.
  struct Columns {
    size_t count = 0;
    Aligned<float> blocks, norms;
    Aligned<double> weights;
  };
  Panel PanelOf(const Columns& columns) const {
    return {columns.blocks.data(), columns.norms.data(), columns.count, rows_.cols, rows_.differences};
  }
  Columns Gather(std::span<const size_t> chosen) const;
  Columns SupportVectors() const;
  void AddSums(const Columns& columns, size_t rows, double* sums) const;
  void FillMatrix(size_t stride);

  size_t threads_;
  FitKernels kernels_;
  const FitRows& rows_;
  Aligned<float> norms_;  // −‖x‖²/2 a row
  size_t working_set_;
  std::vector<double> alpha_;
  Aligned<double> gradient_;
  std::vector<size_t> set_, up_, down_;
  Aligned<float> matrix_;
};

CpuBackend::Columns CpuBackend::Gather(std::span<const size_t> chosen) const {
  const size_t cols = rows_.cols;
  Columns columns{chosen.size(), Aligned<float>(tile::DataSize(chosen.size(), cols)),
                  Aligned<float>(tile::FiniteSize(chosen.size())), Aligned<double>(tile::FiniteSize(chosen.size()))};
  for (size_t i = 0; i < chosen.size(); ++i) {
    const float* from = rows_.blocks.data() + chosen[i] / kBlockRows * cols * kBlockRows + chosen[i] % kBlockRows;
    float* to = columns.blocks.data() + i / kBlockRows * cols * kBlockRows + i % kBlockRows;
    for (size_t c = 0; c < cols; ++c) to[c * kBlockRows] = from[c * kBlockRows];
    columns.norms[i] = norms_[chosen[i]];
  }
  return columns;
}

CpuBackend::Columns CpuBackend::SupportVectors() const {
  std::vector<size_t> chosen;
  for (size_t i = 0; i < alpha_.size(); ++i) {
    if (alpha_[i] > 0) chosen.push_back(i);
  }
  Columns columns = Gather(chosen);
  for (size_t i = 0; i < chosen.size(); ++i) columns.weights[i] = alpha_[chosen[i]];
  return columns;
}

void CpuBackend::AddSums(const Columns& columns, size_t rows, double* sums) const {
  const Panel panel = PanelOf(columns);
  const size_t blocks = Blocks(rows);
  const size_t group = std::clamp<size_t>(blocks / (4 * threads_), 1, kMostGroupBlocks);  // parts for every thread
  ParallelFor((blocks + group - 1) / group, threads_, [&](size_t part, size_t) {
    const size_t b = part * group, count = std::min(group, blocks - b);
    const Panel some{rows_.blocks.data() + b * rows_.cols * kBlockRows, norms_.data() + b * kBlockRows,
                     count * kBlockRows, rows_.cols, rows_.differences};
    kernels_.add_sums(panel, columns.weights.data(), some, sums + b * kBlockRows);
  });
}

FitBounds CpuBackend::Select() {
  up_.clear();
  down_.clear();
  for (size_t i = 0; i < alpha_.size(); ++i) {
    if (alpha_[i] < 1) up_.push_back(i);
    if (alpha_[i] > 0) down_.push_back(i);
  }
  const double* g = gradient_.data();
  const auto keep = [&](std::vector<size_t>& rows, const auto& before) {
    const size_t n = std::min(rows.size(), working_set_);
    std::partial_sort(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(n), rows.end(), before);
    rows.resize(n);
  };
  keep(up_, [g](size_t a, size_t b) { return g[a] < g[b] || (g[a] == g[b] && a < b); });
  keep(down_, [g](size_t a, size_t b) { return g[a] > g[b] || (g[a] == g[b] && a < b); });
  const FitBounds bounds{up_.empty() ? kInf : g[up_[0]], down_.empty() ? -kInf : g[down_[0]]};

  set_.clear();
  std::vector<bool> taken(alpha_.size());
  const auto take = [&](const std::vector<size_t>& rows, size_t i) {
    if (i >= rows.size() || taken[rows[i]] || set_.size() == working_set_) return;
    taken[rows[i]] = true;
    set_.push_back(rows[i]);
  };
  for (size_t i = 0; i < std::max(up_.size(), down_.size()); ++i) {
    take(up_, i);
    take(down_, i);
  }
  std::sort(set_.begin(), set_.end());  // neighbours in memory
  return bounds;
}

void CpuBackend::FillMatrix(size_t stride) {
  if (matrix_.size() < set_.size() * stride) matrix_ = Aligned<float>(set_.size() * stride);
  const Columns columns = Gather(set_);
  ParallelFor(stride / kBlockRows, threads_,
              [&](size_t b, size_t) { kernels_.fill_matrix(PanelOf(columns), b, stride, matrix_.data()); });
}

uint64_t CpuBackend::Solve(double tolerance, uint64_t limit) {
  const size_t n = set_.size(), stride = Blocks(n) * kBlockRows;
  FillMatrix(stride);
  Aligned<double> alpha(stride), gradient(stride), up(stride), down(stride);
  std::fill_n(up.data(), stride, kInf);
  std::fill_n(down.data(), stride, -kInf);
  for (size_t i = 0; i < n; ++i) {
    alpha[i] = alpha_[set_[i]];
    gradient[i] = gradient_[set_[i]];
    if (alpha[i] < 1) up[i] = 0;
    if (alpha[i] > 0) down[i] = 0;
  }
  const uint64_t steps = kernels_.solve(
      {n, stride, matrix_.data(), alpha.data(), gradient.data(), up.data(), down.data(), tolerance, limit});
  std::vector<size_t> changed;
  std::vector<double> change;
  for (size_t i = 0; i < n; ++i) {
    double& before = alpha_[set_[i]];
    if (alpha[i] == before) continue;
    changed.push_back(set_[i]);
    change.push_back(alpha[i] - before);
    before = alpha[i];
  }
  Columns columns = Gather(changed);
  std::copy(change.begin(), change.end(), columns.weights.data());
  AddSums(columns, alpha_.size(), gradient_.data());
  return steps;
}

}  // namespace

FitResult Fit(RowsView<double> rows, const FitOptions& options) {
  assert(rows.rows > 0 && AllFinite(rows.data, rows.rows * rows.cols));
  assert(options.nu > 0 && options.nu <= 1 && options.gamma > 0 && std::isfinite(options.gamma));
  assert(options.tolerance > 0 && options.working_set >= 2);
  const std::vector<size_t> order = FitOrder(rows.rows);
  const FitRows packed = PackFitRows(rows, order, options);
  CpuBackend backend(packed, options);
  return FitWith(backend, rows, order, options);
}

}  // namespace driftseal::kernels::svm
