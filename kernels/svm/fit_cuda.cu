#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

#include "kernels/device/memory.cuh"
#include "kernels/svm/fit_backend.h"
#include "kernels/svm/fit_cuda.cuh"
#include "kernels/svm/fit_cuda.h"

namespace driftseal::kernels::svm {
namespace {

using device::DeviceBuffer;

/// Columns whose features are gathered at once: what a sum over many support vectors holds of them.
constexpr uint32_t kMostColumns = 16384;
static_assert(kMostColumns >= kCudaFitMostSet);

uint32_t RoundUp(uint32_t n, uint32_t multiple) { return (n + multiple - 1) / multiple * multiple; }

template <class T>
cudaError_t Upload(T* to, const T* from, size_t count, cudaStream_t stream) {
  return cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyHostToDevice, stream);
}

/// The solver's parts on a GPU: only α, sums and a few numbers a round cross the bus.
class CudaBackend : public FitBackend {
 public:
  CudaBackend(const FitRows& rows, const FitOptions& options)
      : working_set_(static_cast<uint32_t>(std::min<size_t>(options.working_set, kCudaFitMostSet))) {
    failed_ = Allocate(rows);
    if (failed_ == cudaSuccess) failed_ = Upload(rows_.blocks, rows.blocks.data(), rows.blocks.size(), stream_);
    if (failed_ == cudaSuccess) failed_ = CudaFitNorms(rows_, stream_);
    if (failed_ == cudaSuccess) failed_ = cudaStreamSynchronize(stream_);
  }
  void Begin(std::span<const double> alpha) override {
    if (failed_ == cudaSuccess) failed_ = TryBegin(alpha);
  }
  void Density(std::span<double> sums) override {
    if (failed_ == cudaSuccess) failed_ = TryDensity(sums);
  }
  FitBounds Select() override {
    if (failed_ == cudaSuccess) failed_ = TrySelect();
    return {report_.up, report_.down};
  }
  uint64_t Solve(double tolerance, uint64_t limit) override {
    if (failed_ == cudaSuccess) failed_ = TrySolve(tolerance, limit);
    return report_.steps;
  }
  void Read(std::span<double> alpha, std::span<double> gradient) override {
    if (failed_ == cudaSuccess) failed_ = Download(alpha, state_.alpha);
    if (failed_ == cudaSuccess) failed_ = Download(gradient, state_.gradient);
  }
  int error() const override { return static_cast<int>(failed_); }

 private:
  template <class T>
  cudaError_t Take(T*& array, size_t count) {
    buffers_.emplace_back();
    DRIFTSEAL_CUDA_TRY(buffers_.back().Allocate(count * sizeof(T)));
    array = buffers_.back().as<T>();
    return cudaSuccess;
  }
  template <class T>
  cudaError_t Download(std::span<T> to, const T* from) {
    DRIFTSEAL_CUDA_TRY(cudaMemcpyAsync(to.data(), from, to.size_bytes(), cudaMemcpyDeviceToHost, stream_));
    return cudaStreamSynchronize(stream_);
  }
  cudaError_t Allocate(const FitRows& rows);
  cudaError_t TryBegin(std::span<const double> alpha);
  cudaError_t TryDensity(std::span<double> sums);
  cudaError_t TrySelect();
  cudaError_t TrySolve(double tolerance, uint64_t limit);
  cudaError_t AddSupportVectors(std::span<const double> alpha, uint32_t rows, double* sums);
  /// The first `rows` rows.
  CudaFitPanel Prefix(uint32_t rows) const {
    CudaFitPanel panel = rows_;
    panel.rows = rows;
    return panel;
  }
  CudaFitPanel Columns(uint32_t count) const {
    CudaFitPanel panel = columns_;
    panel.rows = count;
    return panel;
  }

  uint32_t working_set_;
  cudaError_t failed_ = cudaSuccess;
  device::Stream stream_;
  std::vector<DeviceBuffer> buffers_;
  CudaFitPanel rows_{}, columns_{};
  CudaFitState state_{};
  CudaFitReport report_{}, *report_on_device_ = nullptr;
  uint32_t *set_ = nullptr, *chosen_ = nullptr;
  double *weights_ = nullptr, *partial_ = nullptr, *sums_ = nullptr;
  float* matrix_ = nullptr;
  unsigned char* scratch_ = nullptr;
  size_t scratch_bytes_ = 0;
};

cudaError_t CudaBackend::Allocate(const FitRows& rows) {
  const auto n = static_cast<uint32_t>(rows.rows), cols = static_cast<uint32_t>(rows.cols);
  const uint32_t padded = RoundUp(n, kFitBlock), tiles = RoundUp(n, kFitRowTile) / kFitRowTile;
  const uint32_t most = std::min(kMostColumns, padded), set = std::min(working_set_, n);
  rows_ = {nullptr, nullptr, n, cols, rows.differences};
  columns_ = {nullptr, nullptr, 0, cols, rows.differences};
  DRIFTSEAL_CUDA_TRY(stream_.Create());
  DRIFTSEAL_CUDA_TRY(Take(rows_.blocks, rows.blocks.size()));
  DRIFTSEAL_CUDA_TRY(Take(rows_.norms, padded));
  DRIFTSEAL_CUDA_TRY(Take(columns_.blocks, static_cast<size_t>(most) * cols));
  DRIFTSEAL_CUDA_TRY(Take(columns_.norms, most));
  for (double** array : {&state_.alpha, &state_.gradient, &state_.up_key, &state_.down_key, &state_.up_sorted,
                         &state_.down_sorted, &sums_}) {
    DRIFTSEAL_CUDA_TRY(Take(*array, n));
  }
  for (uint32_t** array : {&state_.index, &state_.up_order, &state_.down_order, &state_.position}) {
    DRIFTSEAL_CUDA_TRY(Take(*array, n));
  }
  DRIFTSEAL_CUDA_TRY(Take(set_, set));
  DRIFTSEAL_CUDA_TRY(Take(chosen_, most));
  DRIFTSEAL_CUDA_TRY(Take(weights_, most));
  DRIFTSEAL_CUDA_TRY(Take(partial_, static_cast<size_t>(std::max(kFitMostRowTiles, tiles)) * kFitRowTile));
  DRIFTSEAL_CUDA_TRY(Take(matrix_, static_cast<size_t>(set) * RoundUp(set, kFitBlock)));
  DRIFTSEAL_CUDA_TRY(Take(report_on_device_, 1));
  scratch_bytes_ = CudaFitSelectScratch(n);
  return Take(scratch_, scratch_bytes_);
}

cudaError_t CudaBackend::AddSupportVectors(std::span<const double> alpha, uint32_t rows, double* sums) {
  std::vector<uint32_t> chosen;
  std::vector<double> weights;
  for (size_t i = 0; i < alpha.size(); ++i) {
    if (!(alpha[i] > 0)) continue;
    chosen.push_back(static_cast<uint32_t>(i));
    weights.push_back(alpha[i]);
  }
  DRIFTSEAL_CUDA_TRY(cudaMemsetAsync(sums, 0, rows * sizeof(double), stream_));
  for (size_t first = 0; first < chosen.size(); first += kMostColumns) {
    const auto count = static_cast<uint32_t>(std::min<size_t>(kMostColumns, chosen.size() - first));
    DRIFTSEAL_CUDA_TRY(Upload(chosen_, chosen.data() + first, count, stream_));
    DRIFTSEAL_CUDA_TRY(Upload(weights_, weights.data() + first, count, stream_));
    DRIFTSEAL_CUDA_TRY(CudaFitGather(rows_, chosen_, Columns(count), weights_, stream_));
    DRIFTSEAL_CUDA_TRY(CudaFitSums(Columns(count), weights_, Prefix(rows), partial_, sums, stream_));
  }
  return cudaStreamSynchronize(stream_);  // the uploads read this function's memory
}

cudaError_t CudaBackend::TryBegin(std::span<const double> alpha) {
  state_.rows = static_cast<uint32_t>(alpha.size());
  DRIFTSEAL_CUDA_TRY(Upload(state_.alpha, alpha.data(), alpha.size(), stream_));
  return AddSupportVectors(alpha, state_.rows, state_.gradient);
}

cudaError_t CudaBackend::TryDensity(std::span<double> sums) {
  std::vector<double> alpha(state_.rows);
  DRIFTSEAL_CUDA_TRY(Download(std::span<double>(alpha), state_.alpha));
  DRIFTSEAL_CUDA_TRY(AddSupportVectors(alpha, static_cast<uint32_t>(sums.size()), sums_));
  return Download(sums, sums_);
}

cudaError_t CudaBackend::TrySelect() {
  DRIFTSEAL_CUDA_TRY(CudaFitSelect(state_, working_set_, set_, report_on_device_, scratch_, scratch_bytes_, stream_));
  return Download(std::span<CudaFitReport>(&report_, 1), report_on_device_);
}

cudaError_t CudaBackend::TrySolve(double tolerance, uint64_t limit) {
  const uint32_t size = report_.set_size;
  DRIFTSEAL_CUDA_TRY(CudaFitGather(rows_, set_, Columns(size), nullptr, stream_));
  DRIFTSEAL_CUDA_TRY(CudaFitMatrix(Columns(size), matrix_, stream_));
  const CudaFitProblem problem{matrix_, set_, size, RoundUp(size, kFitBlock), tolerance, limit};
  DRIFTSEAL_CUDA_TRY(CudaFitSolve(state_, problem, chosen_, weights_, report_on_device_, stream_));
  DRIFTSEAL_CUDA_TRY(Download(std::span<CudaFitReport>(&report_, 1), report_on_device_));
  if (report_.changed == 0) return cudaSuccess;
  const CudaFitPanel columns = Columns(report_.changed);
  DRIFTSEAL_CUDA_TRY(CudaFitGather(rows_, chosen_, columns, weights_, stream_));
  return CudaFitSums(columns, weights_, Prefix(state_.rows), partial_, state_.gradient, stream_);
}

bool IsValid(const device::CudaSvmFit& fit) {
  return fit.rows != nullptr && fit.alpha != nullptr && fit.n > 0 && fit.n < (uint64_t{1} << 31) && fit.cols > 0 &&
         fit.cols < (uint64_t{1} << 31) && fit.nu > 0 && fit.nu <= 1 && fit.gamma > 0 && std::isfinite(fit.gamma) &&
         fit.tolerance > 0 && AllFinite(fit.rows, fit.n * fit.cols);
}

int TryFit(device::CudaSvmFit& fit) {
  const std::vector<double> values(fit.rows, fit.rows + fit.n * fit.cols);
  const RowsView<double> rows{values.data(), fit.n, fit.cols};
  const FitOptions options{.nu = fit.nu, .gamma = fit.gamma, .tolerance = fit.tolerance, .max_steps = fit.iterations};
  const std::vector<size_t> order = FitOrder(rows.rows);
  CudaBackend backend(PackFitRows(rows, order, options), options);
  const FitResult result = FitWith(backend, rows, order, options);
  if (result.error != 0) return result.error;
  std::fill_n(fit.alpha, fit.n, 0.0);
  for (size_t i = 0; i < result.rows.size(); ++i) fit.alpha[result.rows[i]] = result.svm.alpha[i];
  fit.rho = result.svm.rho;
  fit.objective = result.objective;
  fit.violation = result.violation;
  fit.iterations = result.steps;
  return device::kCudaOk;
}

}  // namespace

int CudaFitSvm(device::CudaSvmFit* fit) {
  if (fit == nullptr || !IsValid(*fit)) return device::kCudaBadArgument;
  try {
    return TryFit(*fit);
  } catch (const std::bad_alloc&) {
    return device::kCudaNoHostMemory;
  }
}

}  // namespace driftseal::kernels::svm
