#ifndef DRIFTSEAL_KERNELS_AUTOENCODER_AUTOENCODER_H_
#define DRIFTSEAL_KERNELS_AUTOENCODER_AUTOENCODER_H_

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/rows.h"

// Reconstruction error of a network of fully connected layers that was trained to give its input back.
namespace driftseal::kernels::autoencoder {

enum class Activation { kIdentity, kRelu, kTanh, kLogistic };

/// y = activation(W x + b).
struct Layer {
  size_t inputs = 0, outputs = 0;
  Activation activation = Activation::kIdentity;
  std::vector<double> weights;  ///< outputs × inputs, row-major.
  std::vector<double> bias;     ///< outputs
};

/// Each layer's inputs are the outputs of the one before; the last layer's outputs are the first one's inputs.
struct Network {
  std::vector<Layer> layers;
};

/// Doubles that ScoreReference needs beside its result.
size_t ScratchSize(const Network& network);

/// score = mean_j (x_j − f(x)_j)². rows.cols is the network's width; `out` has rows.rows entries and `scratch` at least
/// ScratchSize(network).
void ScoreReference(const Network& network, RowsView<double> rows, std::span<double> scratch, std::span<double> out);

}  // namespace driftseal::kernels::autoencoder

#endif  // DRIFTSEAL_KERNELS_AUTOENCODER_AUTOENCODER_H_
