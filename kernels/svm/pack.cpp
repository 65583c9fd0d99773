#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/svm/svm.h"

namespace driftseal::kernels::svm {
namespace {

// Float32 products of x' and s' are off by some 6e-8·‖x'‖‖s'‖, and a term matters only where x' is near s'. So
// ‖s'‖² = 64 costs 64·6e-8·ln 2 = 3e-6 of a term's weight, and the rounding of norms as much again.
constexpr double kLargestNorm = 64;

std::vector<double> Mean(const Svm& svm) {
  std::vector<double> mean(svm.cols);
  for (size_t i = 0; i < svm.vectors.size(); ++i) mean[i % svm.cols] += svm.vectors[i];
  for (double& value : mean) value /= static_cast<double>(svm.alpha.size());
  // The kernel subtracts it in float32: what it subtracts must be what was subtracted here.
  for (double& value : mean) value = std::isfinite(value) ? static_cast<float>(value) : 0;
  return mean;
}

}  // namespace

Packed Pack(const Svm& svm) {
  Packed packed;
  packed.cols = svm.cols;
  packed.vectors = svm.alpha.size();
  packed.scale = static_cast<float>(std::sqrt(2 * svm.gamma * std::numbers::log2e));
  packed.rho = svm.rho;
  const std::vector<double> mean = Mean(svm);
  packed.centre = tile::Aligned<float>(svm.cols);
  for (size_t c = 0; c < svm.cols; ++c) packed.centre[c] = static_cast<float>(mean[c]);
  packed.blocks = tile::PackBlocks(svm.vectors, svm.cols, mean, packed.scale);
  const size_t padded = tile::Blocks(packed.vectors) * tile::kBlockRows;
  packed.norms = tile::Aligned<float>(padded);
  packed.alpha = tile::Aligned<float>(padded);
  for (size_t i = 0; i < packed.vectors; ++i) {
    double squared = 0;
    for (size_t c = 0; c < svm.cols; ++c) {
      const double value = (svm.vectors[i * svm.cols + c] - mean[c]) * packed.scale;
      squared += value * value;
    }
    packed.differences = packed.differences || !(squared <= kLargestNorm);
    packed.norms[i] = static_cast<float>(-squared / 2);
    packed.alpha[i] = static_cast<float>(svm.alpha[i]);
    packed.weight += std::abs(svm.alpha[i]);
  }
  return packed;
}

// A scaled block of rows and −‖x'‖²/2 for each.
size_t WorkspaceSize(const Packed& svm) {
  return tile::Bytes<float>(svm.cols * tile::kBlockRows) + tile::Bytes<float>(tile::kBlockRows);
}

}  // namespace driftseal::kernels::svm
