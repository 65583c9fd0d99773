#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "kernels/device/product.cuh"
#include "kernels/svm/cuda.cuh"

namespace driftseal::kernels::svm {
namespace {

constexpr uint32_t kTile = 64;                                        // Vectors a tile
constexpr uint32_t kSteps[] = {1, 2, 4, device::Tensor::kWideSteps};  // Of 16 columns, a chunk of each tensor variant

/// The scaled model in doubles.
struct Scaled {
  std::vector<float> centre;
  std::vector<double> vectors, norms;  ///< s', −‖s'‖²/2
  double scale = 1, largest = 0;       ///< k, max ‖s'‖²
};

Scaled Scale(const device::CudaSvm& svm, uint64_t cols) {
  Scaled scaled;
  // The kernel multiplies by the float32: so does this.
  scaled.scale = static_cast<float>(std::sqrt(2 * svm.gamma * std::numbers::log2e));
  std::vector<double> mean(cols);
  for (uint64_t i = 0; i < svm.count * cols; ++i) mean[i % cols] += svm.vectors[i] / static_cast<double>(svm.count);
  for (double value : mean) scaled.centre.push_back(std::isfinite(value) ? static_cast<float>(value) : 0);
  scaled.vectors.resize(svm.count * cols);
  for (uint64_t i = 0; i < svm.count; ++i) {
    double squared = 0;
    for (uint64_t c = 0; c < cols; ++c) {
      const double value = (svm.vectors[i * cols + c] - scaled.centre[c]) * scaled.scale;
      scaled.vectors[i * cols + c] = value;
      squared += value * value;
    }
    scaled.norms.push_back(-squared / 2);
    scaled.largest = std::isnan(squared) ? INFINITY : std::max(scaled.largest, squared);
  }
  return scaled;
}

/// What a tensor variant may be off by, relative to Σ|α|. Every operand is off by 2⁻²² and low·low is dropped; the
/// tensor cores truncate each of their sums, half a unit of 2⁻²⁴ on average; a component below 2⁻³ is off by 2⁻²⁵.
double TensorError(const Scaled& scaled, uint64_t cols) {
  const double norm = std::sqrt(scaled.largest), sums = 3.0 * std::ceil(static_cast<double>(cols) / 16);
  const double exponent = (scaled.largest + norm) * (3 * 0x1p-22 + sums * 0x1p-25) +
                          2 * std::sqrt(static_cast<double>(cols)) * norm * 0x1p-25;
  return std::numbers::ln2 * exponent + 5e-7;  // and the exponential, the weights, the sums
}

// Float32 products are off by some 6e-8·‖x'‖‖s'‖: up to here that costs 3e-6 of a term (as in pack.cpp).
constexpr double kLargestForProducts = 64;

uint32_t Fastest(const Scaled& scaled, uint64_t cols) {
  if (TensorError(scaled, cols) <= 9e-6) {
    return cols <= 16 ? kTensor16 : cols <= 32 ? kTensor32 : cols <= 64 ? kTensor64 : kTensorWide;
  }
  return scaled.largest <= kLargestForProducts ? kMultiplyAdd : kDifferences;
}

bool Holds(uint32_t variant, const Scaled& scaled, uint64_t cols) {
  constexpr uint64_t kMostCols[] = {16, 32, 64, UINT32_MAX, UINT32_MAX, UINT32_MAX};
  if (variant >= kCudaVariants || cols > kMostCols[variant]) return false;
  if (variant <= kTensorWide) return TensorError(scaled, cols) <= 9e-6;
  return variant == kDifferences || scaled.largest <= kLargestForProducts;
}

}  // namespace

const char* CudaVariantName(uint32_t variant) {
  constexpr const char* kNames[] = {"tensor fp16x3, 16 columns",
                                    "tensor fp16x3, 32 columns",
                                    "tensor fp16x3, 64 columns",
                                    "tensor fp16x3, wide",
                                    "fma",
                                    "fma, differences"};
  return variant < kCudaVariants ? kNames[variant] : nullptr;
}

int CudaUpload(const device::CudaSvm& svm, uint64_t cols, int32_t force, const device::DeviceLimits&,
               device::Uploader& uploader, device::Member* member) {
  const Scaled scaled = Scale(svm, cols);
  const uint32_t variant = force < 0 ? Fastest(scaled, cols) : static_cast<uint32_t>(force);
  if (!Holds(variant, scaled, cols)) return device::kCudaUnsupported;
  const bool tensor = variant <= kTensorWide;
  CudaModel model{};
  model.tensor.cols = static_cast<uint32_t>(cols);
  model.tensor.tiles = static_cast<uint32_t>((svm.count + kTile - 1) / kTile);
  model.tensor.scale = static_cast<float>(scaled.scale);
  model.tensor.centre = uploader.Copy(scaled.centre);
  model.rho = svm.rho;
  // 2^(−7²/2) = 4e-8 is all that a vector adds from that far.
  model.far = static_cast<float>(std::pow(std::sqrt(scaled.largest) + 7, 2));
  std::vector<float> weights(model.tensor.tiles * kTile), norms(weights.size());
  for (uint64_t i = 0; i < svm.count; ++i) {
    norms[i] = static_cast<float>(scaled.norms[i]);
    weights[i] = static_cast<float>(tensor ? svm.alpha[i] * std::exp2(scaled.norms[i]) : svm.alpha[i]);
  }
  model.tensor.side = uploader.Copy(weights);
  const auto value = [&](uint64_t i, uint64_t c) { return scaled.vectors[i * cols + c]; };
  if (tensor) {
    model.tensor.chunks = static_cast<uint32_t>((cols + kSteps[variant] * 16 - 1) / (kSteps[variant] * 16));
    model.tensor.fragments = uploader.Copy(device::PackFragments(svm.count, cols, kSteps[variant], value));
  } else {
    model.norms = uploader.Copy(norms);
    model.blocks = uploader.Copy(device::PackColumns(svm.count, cols, value));
  }
  member->model = uploader.Copy(&model, 1);
  member->variant = variant;
  member->tile_rows = tensor ? device::Tensor::kRows : device::Product::kRows;
  return static_cast<int>(uploader.error());
}

}  // namespace driftseal::kernels::svm
