#ifndef DRIFTSEAL_KERNELS_AUTOENCODER_AUTOENCODER_H_
#define DRIFTSEAL_KERNELS_AUTOENCODER_AUTOENCODER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/device/isa.h"
#include "kernels/rows.h"
#include "kernels/tile/tile.h"

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

/// A layer as the float32 variants read it.
struct PackedLayer {
  size_t inputs = 0, outputs = 0;
  Activation activation = Activation::kIdentity;
  tile::Aligned<float> weights;  ///< Outputs in blocks of 64, as kernels/tile/tile.h has rows; zeros fill up the last.
  tile::Aligned<float> bias;     ///< To the end of the last block.
};

/// Immutable; 4 bytes a weight, each layer's outputs rounded up to 64.
struct Packed {
  size_t cols = 0, widest = 0;  ///< `widest`: outputs of any layer, rounded up to 64.
  std::vector<PackedLayer> layers;
};
Packed Pack(const Network& network);

/// Bytes that a TileKernel works in: the activations of 64 rows.
size_t WorkspaceSize(const Packed& network);

/// Scores tile.rows rows into `out`, within
///   |error| <= 1e-5·(score + mean_j x_j²) + 1e-30
/// of ScoreReference, or +inf where mean_j x_j² is beyond float32. Not of the score alone: a float32 reconstruction
/// f(x) is off by some roundings δ of |x|, and (x − f(x))² by 2·|x − f(x)|·δ; of a row that is reconstructed to the
/// last digit the score is the rounding, whatever the kernel does. It holds for networks whose sums are not far longer
/// than what comes out of them (Σ_i |W_ji h_i| + |b_j| within a hundred times the row's root mean square): trained
/// ones, and any with Glorot's or He's weights. tanh and the logistic function are within 4e-7 of themselves. Returns
/// the Highway target it was compiled for, which proves the variant that ran.
using TileKernel = int64_t (*)(const Packed& network, const tile::Tile& tile, tile::Workspace workspace, float* out);
TileKernel SimdKernel(const device::Isa& isa);

}  // namespace driftseal::kernels::autoencoder

#endif  // DRIFTSEAL_KERNELS_AUTOENCODER_AUTOENCODER_H_
