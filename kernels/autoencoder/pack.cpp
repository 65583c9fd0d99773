#include <algorithm>
#include <limits>

#include "kernels/autoencoder/autoencoder.h"

namespace driftseal::kernels::autoencoder {
namespace {

// Beyond float32's range a weight is the largest there is: times 0 it must give 0.
double Clamped(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return std::clamp(value, -kLargest, kLargest);
}

}  // namespace

Packed Pack(const Network& network) {
  Packed packed;
  if (network.layers.empty()) return packed;
  packed.cols = network.layers.front().inputs;
  for (const Layer& layer : network.layers) {
    std::vector<double> weights(layer.weights.size());
    std::transform(layer.weights.begin(), layer.weights.end(), weights.begin(), Clamped);
    PackedLayer& result = packed.layers.emplace_back();
    result.inputs = layer.inputs;
    result.outputs = layer.outputs;
    result.activation = layer.activation;
    result.weights = tile::PackBlocks(weights, layer.inputs, {}, 1);
    const size_t padded = tile::RoundUp(layer.outputs, tile::kBlockRows);
    result.bias = tile::Aligned<float>(padded);
    for (size_t o = 0; o < layer.outputs; ++o) result.bias[o] = static_cast<float>(Clamped(layer.bias[o]));
    packed.widest = std::max(packed.widest, padded);
  }
  return packed;
}

// What goes into a layer and what comes out, for a block of rows.
size_t WorkspaceSize(const Packed& network) { return 2 * tile::Bytes<float>(network.widest * tile::kBlockRows); }

}  // namespace driftseal::kernels::autoencoder
