#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/autoencoder/cuda.cuh"
#include "kernels/device/mma.cuh"
#include "kernels/device/product.cuh"

namespace driftseal::kernels::autoencoder {
namespace {

using device::Group;
using device::Product;

constexpr uint32_t kRowFloats = 2 * Product::kRows;  // Squared errors, finite

__device__ float Activate(int32_t activation, float x) {
  switch (activation) {
    case 1:
      return x > 0 ? x : 0;
    case 2:
      return tanhf(x);
    case 3:
      return 1 / (1 + expf(-x));
    default:
      return x;
  }
}

/// Activations of a block's rows, feature-major: two buffers that layers take turns in.
struct Activations {
  float* buffers;
  uint32_t width;
  __device__ float* of(uint32_t layer) const { return buffers + (layer % 2) * width * Product::kStride; }
};

/// One layer: what comes out, or, after the last one, each row's Σ (x − y)² / cols, of this thread's outputs.
__device__ void Layer(const Group& group, const CudaModel& model, uint32_t index, uint32_t first_row,
                      const Activations& activations, float* shared, float (&errors)[8]) {
  const CudaWeights& layer = model.layers[index];
  const bool last = index + 1 == model.count;
  const float* in = activations.of(index + 1);
  float* out = activations.of(index);
  const float share = 1.0F / static_cast<float>(model.cols);
  const auto row_value = [&](uint32_t row, uint32_t k) {
    const uint32_t at = min(first_row + row, group.count - 1);
    return group.rows[static_cast<size_t>(at) * model.cols + k];
  };
  for (uint32_t first = 0; first < layer.outputs; first += Product::kColumns) {
    Product::Sums sums;
    const float* block = layer.blocks + static_cast<size_t>(first) * layer.inputs;
    if (index == 0) {
      Product::Run<false>(row_value, block, layer.inputs, shared, sums);
    } else {
      Product::Run<false, true>([&](uint32_t row, uint32_t k) { return in[k * Product::kStride + row]; }, block,
                                layer.inputs, shared, sums);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const uint32_t output = first + Product::Column() + j;
      if (output >= layer.outputs) continue;
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float y = Activate(layer.activation, sums[i][j] + layer.bias[output]);
        if (last) {
          const float error = row_value(Product::Row() + i, output) - y;
          errors[i] = fmaf(error * share, error, errors[i]);
        } else {
          out[output * Product::kStride + Product::Row() + i] = y;
        }
      }
    }
  }
  __syncthreads();
}

/// 128 rows a block, all layers. kShared: activations lie in shared memory; else in the group's scratch.
template <bool kShared>
__global__ void __launch_bounds__(Product::kThreads) Score(const Group* groups, uint32_t count) {
  const Group& group = device::FindGroup(groups, count, blockIdx.x);
  const CudaModel& model = *static_cast<const CudaModel*>(group.model);
  const uint32_t tile = blockIdx.x - group.first_tile, first_row = tile * Product::kRows;
  if (first_row >= group.count) return;
  float* shared = reinterpret_cast<float*>(device::DynamicShared());
  float* finite = shared + Product::kSharedFloats;
  float* scratch = static_cast<float*>(group.scratch) + static_cast<size_t>(tile) * 2 * model.width * Product::kStride;
  const Activations activations{kShared ? finite + Product::kRows : scratch, model.width};
  for (uint32_t row = threadIdx.x / 32; row < Product::kRows; row += Product::kThreads / 32) {
    const uint32_t at = min(first_row + row, group.count - 1);
    const auto raw = [&](uint32_t k) { return group.rows[static_cast<size_t>(at) * model.cols + k]; };
    finite[row] = device::WarpRowFacts(raw, raw, model.cols).finite;
  }
  __syncthreads();
  float errors[8] = {};
  for (uint32_t layer = 0; layer < model.count; ++layer) {
    Layer(group, model, layer, first_row, activations, shared, errors);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    float error = errors[i];
    for (int step = 8; step > 0; step /= 2) error += __shfl_xor_sync(0xffffffffU, error, step);
    const uint32_t row = Product::Row() + i;
    if (threadIdx.x % 16 != 0 || first_row + row >= group.count) continue;
    // ∞ − ∞ inside the network of a finite row: too far away for float32.
    group.out[first_row + row] = (isnan(error) ? INFINITY : error) + finite[row];
  }
}

}  // namespace

const char* CudaVariantName(uint32_t variant) {
  constexpr const char* kNames[] = {"on chip", "wide"};
  return variant < kCudaVariants ? kNames[variant] : nullptr;
}

int CudaUpload(const device::CudaNetwork& network, uint64_t cols, int32_t force, const device::DeviceLimits& limits,
               device::Uploader& uploader, device::Member* member) {
  uint64_t width = 1, inputs = cols;
  for (uint64_t l = 0; l < network.count; ++l) {
    if (network.layers[l].inputs != inputs) return device::kCudaBadArgument;
    inputs = network.layers[l].outputs;
    // The last layer's outputs go straight into the error.
    if (l + 1 < network.count) width = std::max(width, inputs);
  }
  if (network.count == 0 || inputs != cols) return device::kCudaBadArgument;
  const size_t on_chip = (Product::kSharedFloats + kRowFloats + 2 * width * Product::kStride) * sizeof(float);
  const bool fits = width <= kOnChipWidth && on_chip <= limits.shared_bytes;
  const uint32_t variant = force < 0 ? (fits ? kOnChip : kWide) : static_cast<uint32_t>(force);
  if (variant >= kCudaVariants || (variant == kOnChip && !fits)) return device::kCudaUnsupported;
  std::vector<CudaWeights> layers;
  for (uint64_t l = 0; l < network.count; ++l) {
    const device::CudaLayer& layer = network.layers[l];
    std::vector<float> bias((layer.outputs + 63) / 64 * 64);
    std::transform(layer.bias, layer.bias + layer.outputs, bias.begin(),
                   [](double b) { return static_cast<float>(b); });
    const auto weight = [&](uint64_t o, uint64_t i) { return layer.weights[o * layer.inputs + i]; };
    layers.push_back({uploader.Copy(device::PackColumns(layer.outputs, layer.inputs, weight)), uploader.Copy(bias),
                      static_cast<uint32_t>(layer.inputs), static_cast<uint32_t>(layer.outputs), layer.activation});
  }
  CudaModel model{};
  model.layers = uploader.Copy(layers);
  model.count = static_cast<uint32_t>(network.count);
  model.cols = static_cast<uint32_t>(cols);
  model.width = static_cast<uint32_t>(width);
  member->model = uploader.Copy(&model, 1);
  member->variant = variant;
  member->tile_rows = Product::kRows;
  // The widest of a launch's networks decides how much shared memory its blocks get.
  member->parts = static_cast<uint32_t>(width);
  if (variant == kWide) member->scratch_row = 2 * width * sizeof(float) * Product::kStride / Product::kRows + 1;
  return static_cast<int>(uploader.error());
}

cudaError_t CudaLaunch(uint32_t variant, const device::Launch& launch, const device::DeviceLimits&) {
  const size_t bytes = (Product::kSharedFloats + kRowFloats) * sizeof(float);
  if (variant == kWide) {
    return device::Run(Score<false>, launch.tiles, Product::kThreads, bytes, launch.stream, launch.groups,
                       launch.count);
  }
  const size_t activations = size_t{2} * launch.parts * Product::kStride * sizeof(float);
  return device::Run(Score<true>, launch.tiles, Product::kThreads, bytes + activations, launch.stream, launch.groups,
                     launch.count);
}

}  // namespace driftseal::kernels::autoencoder
