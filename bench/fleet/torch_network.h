#ifndef DRIFTSEAL_BENCH_FLEET_TORCH_NETWORK_H_
#define DRIFTSEAL_BENCH_FLEET_TORCH_NETWORK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/fleet/domain.h"
#include "bench/fleet/regime.h"

// Feed-forward networks trained with LibTorch. LibTorch's headers stay in the .cpp files: they take seconds to compile.
namespace driftseal::fleet {

/// A convolution with "same" padding, ReLU, and where `pool` is set a 2×2 max pooling.
struct ConvSpec {
  int channels = 0, kernel = 3, stride = 1;
  bool pool = false;
};

/// Convolutions (named conv1, conv2, ...), then linear layers (fc1, fc2, ...) with ReLU between them; the last one
/// gives the logits of the classes.
struct NetworkSpec {
  std::string class_name;            ///< TorchScript class of the saved module.
  std::vector<int64_t> input_shape;  ///< Of one row: {1, 28, 28} or {columns}.
  std::vector<ConvSpec> convs;
  std::vector<int> hidden;
  int classes = 0;
};

/// Adam (or what `regime` says) with a learning rate that falls linearly to zero, cross entropy.
struct TorchTraining {
  int epochs = 0, batch_size = 0;
  double learning_rate = 0;
  std::vector<float> class_weights = {};  ///< Empty: all 1.
  int64_t image_side = 0;                 ///< Of square images, flattened or not; 0: tables.
  Regime regime = {};                     ///< Its models, where there are any, are networks of the same spec.
};

/// "libtorch <version>"
std::string TorchVersion();
/// For DomainInfo::weight_edits.
std::vector<std::string> TorchWeightEdits();
/// Must be called once by every thread that trains: LibTorch's OpenMP threads would fight over the cores.
void UseOneTorchThread();
/// Internal when the loss is no longer finite.
absl::StatusOr<TrainResult> TrainTorchNetwork(const NetworkSpec& spec, const TorchTraining& training, const Rows& rows,
                                              uint64_t seed);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_TORCH_NETWORK_H_
