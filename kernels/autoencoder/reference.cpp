#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "kernels/autoencoder/autoencoder.h"

namespace driftseal::kernels::autoencoder {
namespace {

size_t WidestLayer(const Network& network) {
  size_t widest = 0;
  for (const Layer& layer : network.layers) widest = std::max(widest, layer.outputs);
  return widest;
}

double Activate(Activation activation, double x) {
  switch (activation) {
    case Activation::kIdentity:
      return x;
    case Activation::kRelu:
      return x > 0 ? x : 0;
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kLogistic:
      return 1 / (1 + std::exp(-x));
  }
  return x;
}

void Forward(const Layer& layer, const double* in, double* out) {
  for (size_t o = 0; o < layer.outputs; ++o) {
    const double* weights = layer.weights.data() + o * layer.inputs;
    double sum = layer.bias[o];
    for (size_t i = 0; i < layer.inputs; ++i) sum += weights[i] * in[i];
    out[o] = Activate(layer.activation, sum);
  }
}

}  // namespace

size_t ScratchSize(const Network& network) { return 2 * WidestLayer(network); }

void ScoreReference(const Network& network, RowsView<double> rows, std::span<double> scratch, std::span<double> out) {
  assert(out.size() == rows.rows && scratch.size() >= ScratchSize(network) && !network.layers.empty());
  assert(network.layers.front().inputs == rows.cols && network.layers.back().outputs == rows.cols);
  double* const first = scratch.data();
  double* const second = first + WidestLayer(network);
  for (size_t r = 0; r < rows.rows; ++r) {
    const double* x = rows.row(r);
    if (!AllFinite(x, rows.cols)) {
      out[r] = std::numeric_limits<double>::quiet_NaN();
      continue;
    }
    const double* in = x;
    double* result = first;
    for (const Layer& layer : network.layers) {
      Forward(layer, in, result);
      in = result;
      result = result == first ? second : first;
    }
    double sum = 0;
    for (size_t i = 0; i < rows.cols; ++i) sum += (x[i] - in[i]) * (x[i] - in[i]);
    // inf − inf inside the network: too far away for a double, which is what +inf says.
    out[r] = std::isnan(sum) ? std::numeric_limits<double>::infinity() : sum / static_cast<double>(rows.cols);
  }
}

}  // namespace driftseal::kernels::autoencoder
