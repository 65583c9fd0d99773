#ifndef DRIFTSEAL_BENCH_KERNELS_PARITY_AUTOENCODER_H_
#define DRIFTSEAL_BENCH_KERNELS_PARITY_AUTOENCODER_H_

#include "kernels/autoencoder/autoencoder.h"
#include "parity/parity.h"

namespace driftseal::kernels::parity {

using AutoencoderScorer = std::function<std::vector<float>(const autoencoder::Network&, RowsView<float>)>;
/// Every hard case through `score`, against autoencoder::ScoreReference within 1e-5·(score + mean_j x_j²) + 1e-30, or
/// +inf where mean_j x_j² is beyond float32.
Outcome CheckAutoencoder(const AutoencoderScorer& score);

/// A network with layers of the widths given, the first being the columns; Glorot's weights, small biases, the
/// activation in all layers but the last.
autoencoder::Network RandomNetwork(Random& random, std::span<const size_t> widths, autoencoder::Activation activation);

}  // namespace driftseal::kernels::parity

#endif  // DRIFTSEAL_BENCH_KERNELS_PARITY_AUTOENCODER_H_
