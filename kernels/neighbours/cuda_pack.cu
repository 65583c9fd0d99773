#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/neighbours/cuda.cuh"

namespace driftseal::kernels::neighbours {
namespace {

using device::CudaNeighbours;
using device::Tensor;

constexpr double kLargestScaled = 16;  // max ‖s'‖: far from the ends of fp16, for rows some way outside too.

/// Reference rows for the filter: around their mean, scaled by a power of two.
struct Scaled {
  std::vector<float> centre, half_norms;
  std::vector<double> rows;
  double scale = 1, largest = 0;
};

Scaled Scale(const CudaNeighbours& model, uint64_t cols) {
  Scaled scaled;
  std::vector<double> mean(cols);
  for (uint64_t i = 0; i < model.rows * cols; ++i) {
    mean[i % cols] += model.reference[i] / static_cast<double>(model.rows);
  }
  for (double value : mean) scaled.centre.push_back(static_cast<float>(value));
  scaled.rows.resize(model.rows * cols);
  std::vector<double> squared(model.rows);
  for (uint64_t i = 0; i < scaled.rows.size(); ++i) {
    scaled.rows[i] = static_cast<double>(static_cast<float>(model.reference[i])) - scaled.centre[i % cols];
    squared[i / cols] += scaled.rows[i] * scaled.rows[i];
  }
  const double norm = std::sqrt(*std::max_element(squared.begin(), squared.end()));
  if (norm > 0 && std::isfinite(norm)) scaled.scale = std::exp2(std::floor(std::log2(kLargestScaled / norm)));
  scaled.scale = std::clamp(scaled.scale, 0x1p-126, 0x1p126);
  scaled.largest = norm * scaled.scale;
  for (double& value : scaled.rows) value *= scaled.scale;
  for (double value : squared) {
    scaled.half_norms.push_back(static_cast<float>(value * scaled.scale * scaled.scale / 2));
  }
  return scaled;
}

bool Filterable(const CudaNeighbours& model, const Scaled& scaled) {
  // Fewer groups than neighbours say nothing; and all must be finite for their bound to hold.
  const uint64_t groups = (model.rows + Tensor::kVectors - 1) / Tensor::kVectors * kTileGroups;
  return model.k * kGroupRows <= model.rows && model.k < groups && std::isfinite(scaled.largest) &&
         std::all_of(scaled.centre.begin(), scaled.centre.end(), [](float c) { return std::isfinite(c); });
}

void PackFilter(const CudaNeighbours& source, uint64_t cols, const Scaled& scaled, uint32_t steps,
                device::Uploader& uploader, CudaModel* model) {
  device::TensorModel& tensor = model->tensor;
  tensor.cols = static_cast<uint32_t>(cols);
  tensor.tiles = static_cast<uint32_t>((source.rows + Tensor::kVectors - 1) / Tensor::kVectors);
  tensor.chunks = static_cast<uint32_t>((cols + steps * 16 - 1) / (steps * 16));
  tensor.scale = static_cast<float>(scaled.scale);
  tensor.centre = uploader.Copy(scaled.centre);
  std::vector<float> side(size_t{tensor.tiles} * Tensor::kVectors, std::numeric_limits<float>::infinity());
  std::copy(scaled.half_norms.begin(), scaled.half_norms.end(), side.begin());
  tensor.side = uploader.Copy(side);
  tensor.fragments = uploader.Copy(device::PackFragments(
      source.rows, cols, steps, [&](uint64_t i, uint64_t c) { return scaled.rows[i * cols + c]; }));
  model->groups = tensor.tiles * kTileGroups;
  model->largest_norm = static_cast<float>(scaled.largest * (1 + 1e-6));
  // Both operands are off by 2⁻²², low·low is dropped, x − c and s' are rounded to float32 before they are split; each
  // of the tensor cores' sums, of 16 products, is truncated at 2⁻²³ of what it has got to, and 16 products as one.
  const double sums = 3.0 * tensor.chunks * steps;
  model->product_error = static_cast<float>(4 * 0x1p-22 + sums * 2 * 0x1p-23);
  model->absolute_error = static_cast<float>(std::sqrt(static_cast<double>(cols)) * 0x1p-24);
}

}  // namespace

const char* CudaVariantName(uint32_t variant) {
  constexpr const char* kNames[] = {"tensor fp16x3 filter, 64 columns", "tensor fp16x3 filter, wide", "double"};
  return variant < kCudaVariants ? kNames[variant] : nullptr;
}

int CudaUpload(const CudaNeighbours& source, uint64_t cols, int32_t force, const device::DeviceLimits&,
               device::Uploader& uploader, device::Member* member) {
  if (source.rows == 0 || source.k == 0 || source.k > source.rows || source.rows > UINT32_MAX / 2) {
    return device::kCudaBadArgument;
  }
  if (source.k > kMostNeighbours) return device::kCudaUnsupported;
  const Scaled scaled = Scale(source, cols);
  const bool filterable = Filterable(source, scaled);
  uint32_t variant = static_cast<uint32_t>(force);
  if (force < 0) variant = !filterable ? kExact : cols <= 64 ? kFilter64 : kFilterWide;
  if (variant >= kCudaVariants || (variant != kExact && !filterable) || (variant == kFilter64 && cols > 64)) {
    return device::kCudaUnsupported;
  }
  CudaModel model{};
  model.rows = static_cast<uint32_t>(source.rows);
  model.cols = static_cast<uint32_t>(cols);
  model.k = static_cast<uint32_t>(source.k);
  model.kth = source.kth != 0;
  model.exact = uploader.Copy(std::vector<float>(source.reference, source.reference + source.rows * cols));
  if (variant != kExact) {
    PackFilter(source, cols, scaled, variant == kFilter64 ? 4 : Tensor::kWideSteps, uploader, &model);
    // A number for each group, and the row's norm.
    member->scratch_row = (uint64_t{model.groups} + 1) * sizeof(float);
  }
  member->model = uploader.Copy(&model, 1);
  member->variant = variant;
  member->tile_rows = Tensor::kRows;
  member->parts = model.k;
  return static_cast<int>(uploader.error());
}

}  // namespace driftseal::kernels::neighbours
