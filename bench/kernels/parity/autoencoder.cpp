#include "parity/autoencoder.h"

#include <algorithm>
#include <cmath>

namespace driftseal::kernels::parity {
namespace {

using autoencoder::Activation;
using autoencoder::Network;

constexpr Activation kActivations[] = {Activation::kIdentity, Activation::kRelu, Activation::kTanh,
                                       Activation::kLogistic};

double MeanSquare(const float* row, size_t cols) {
  double sum = 0;
  for (size_t c = 0; c < cols; ++c) sum += static_cast<double>(row[c]) * row[c];
  return sum / static_cast<double>(cols);
}

// One row a comparison, as each has a size of its own.
void CheckRows(Outcome& outcome, const std::string& name, const Network& network, std::span<const float> rows,
               const AutoencoderScorer& score) {
  const size_t cols = network.layers.front().inputs, count = rows.size() / cols;
  std::vector<double> expected(count), scratch(ScratchSize(network));
  autoencoder::ScoreReference(network, {Widen(rows).data(), count, cols}, scratch, expected);
  const std::vector<float> got = score(network, {rows.data(), count, cols});
  if (got.size() != count || count == 0) return outcome.Compare(name, got, expected, 0);
  for (size_t r = 0; r < count; ++r) {
    const double size = MeanSquare(rows.data() + r * cols, cols);
    // A row whose squares are beyond float32 may score +inf, however well it is reconstructed.
    if (got[r] == std::numeric_limits<float>::infinity() && size > std::numeric_limits<float>::max()) continue;
    outcome.Compare(name + ", row " + std::to_string(r), std::span(got).subspan(r, 1),
                    std::span(expected).subspan(r, 1), [&](double value) { return 1e-5 * (value + size) + 1e-30; });
  }
}

void CheckNetwork(Outcome& outcome, Random& random, const std::string& name, const Network& network,
                  const AutoencoderScorer& score) {
  const size_t cols = network.layers.front().inputs;
  size_t weights = 0;
  for (const auto& layer : network.layers) weights += layer.weights.size();
  for (size_t rows : kRowCounts) {
    if (rows * weights > 12'000'000) continue;  // the reference would take seconds
    CheckRows(outcome, name + ", " + std::to_string(rows) + " rows", network, NormalRows(random, rows, cols), score);
  }
  CheckRows(outcome, name + ", hard rows", network, HardRows(random, cols), score);
  // From tiny rows to those that saturate every unit.
  std::vector<float> spread = NormalRows(random, 13, cols);
  for (size_t i = 0; i < spread.size(); ++i) {
    spread[i] = static_cast<float>(spread[i] * std::pow(10.0, static_cast<double>(i / cols) - 6));
  }
  CheckRows(outcome, name + ", rows small and large", network, spread, score);
}

// Identity in one layer: a reconstruction that is exact, and one that is nearly.
Network Copy(size_t cols, double factor) {
  Network network;
  network.layers.push_back({cols, cols, Activation::kIdentity, {}, std::vector<double>(cols)});
  network.layers[0].weights.resize(cols * cols);
  for (size_t c = 0; c < cols; ++c) network.layers[0].weights[c * cols + c] = factor;
  return network;
}

// W1 = A, W2 = A⁻¹ for a rotation A: rows come back to the last digit, wherever they are.
Network ThereAndBack(Random& random, size_t cols, double offset) {
  Network network = RandomNetwork(random, std::vector<size_t>{cols, cols, cols}, Activation::kIdentity);
  auto& there = network.layers[0].weights;
  auto& back = network.layers[1].weights;
  there.assign(cols * cols, 0);
  back.assign(cols * cols, 0);
  for (size_t c = 0; c < cols; ++c) there[c * cols + c] = back[c * cols + c] = 1;
  for (size_t c = 0; c + 1 < cols; c += 2) {
    const double angle = random.Uniform() * 6;
    there[c * cols + c] = there[(c + 1) * cols + c + 1] = back[c * cols + c] = back[(c + 1) * cols + c + 1] =
        std::cos(angle);
    there[c * cols + c + 1] = back[(c + 1) * cols + c] = std::sin(angle);
    there[(c + 1) * cols + c] = back[c * cols + c + 1] = -std::sin(angle);
  }
  std::fill(network.layers[0].bias.begin(), network.layers[0].bias.end(), offset);
  for (size_t o = 0; o < cols; ++o) {
    network.layers[1].bias[o] = 0;
    for (size_t i = 0; i < cols; ++i) network.layers[1].bias[o] -= back[o * cols + i] * offset;
  }
  return network;
}

}  // namespace

Network RandomNetwork(Random& random, std::span<const size_t> widths, Activation activation) {
  Network network;
  for (size_t l = 0; l + 1 < widths.size(); ++l) {
    const size_t inputs = widths[l], outputs = widths[l + 1];
    const double scale = std::sqrt(2.0 / static_cast<double>(inputs + outputs));
    autoencoder::Layer& layer = network.layers.emplace_back();
    layer.inputs = inputs;
    layer.outputs = outputs;
    layer.activation = l + 2 < widths.size() ? activation : Activation::kIdentity;
    for (float value : NormalRows(random, outputs, inputs)) layer.weights.push_back(value * scale);
    for (float value : NormalRows(random, 1, outputs)) layer.bias.push_back(value * 0.1);
  }
  return network;
}

Outcome CheckAutoencoder(const AutoencoderScorer& score) {
  Outcome outcome;
  Random random(8);
  const std::vector<std::vector<size_t>> shapes = {{1, 1},
                                                   {1, 3, 1},
                                                   {5, 5},
                                                   {7, 64, 2, 65, 7},
                                                   {32, 16, 8, 16, 32},
                                                   {31, 63, 31},
                                                   {64, 32, 16, 32, 64},
                                                   {240, 64, 240},
                                                   {17, 1024, 17},
                                                   {1025, 33, 1025},
                                                   {1024, 1024, 1024}};
  for (const auto& widths : shapes) {
    for (Activation activation : kActivations) {
      std::string name = "autoencoder, activation " + std::to_string(static_cast<int>(activation));
      for (size_t width : widths) name.append(1, '-').append(std::to_string(width));
      Network network = RandomNetwork(random, widths, activation);
      CheckNetwork(outcome, random, name, network, score);
      if (widths.size() > 3) continue;
      network.layers.back().activation = activation;
      CheckNetwork(outcome, random, name + ", in the last layer too", network, score);
    }
  }
  for (size_t cols : {1, 32, 100}) {
    CheckNetwork(outcome, random, "autoencoder, a copy", Copy(cols, 1), score);
    CheckNetwork(outcome, random, "autoencoder, nearly a copy", Copy(cols, 1 + 1e-4), score);
    CheckNetwork(outcome, random, "autoencoder, there and back", ThereAndBack(random, cols, 0), score);
    CheckNetwork(outcome, random, "autoencoder, nothing", Copy(cols, 0), score);
  }
  // Rows far from the origin.
  for (double offset : {1e4, 1e7}) {
    const Network network = ThereAndBack(random, 24, 0);
    std::vector<float> rows = NormalRows(random, 65, 24);
    for (float& value : rows) value = static_cast<float>(value + offset);
    CheckRows(outcome, "autoencoder, rows around " + std::to_string(offset), network, rows, score);
  }
  return outcome;
}

}  // namespace driftseal::kernels::parity
