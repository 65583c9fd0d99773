#ifndef DRIFTSEAL_BENCH_FLEET_TORCH_MODEL_H_
#define DRIFTSEAL_BENCH_FLEET_TORCH_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "bench/fleet/torch_network.h"
#include "torch/types.h"

// Private to the torch_*.cpp files.
namespace driftseal::fleet {

struct TorchLayer {
  std::string name;
  torch::Tensor weight, bias;
};

class TorchModel : public Model {
 public:
  /// Weights uniform in ±1/sqrt(fan in), as torch.nn does, from a generator of its own: LibTorch's default generator is
  /// shared by all threads, so what it gives depends on timing.
  TorchModel(const NetworkSpec& spec, uint64_t seed);
  TorchModel(const NetworkSpec& spec, std::vector<TorchLayer> layers) : spec_(spec), layers_(std::move(layers)) {}

  /// Logits, or with `end` < layers().size() what the layer `end` would see.
  torch::Tensor Forward(torch::Tensor x, size_t end) const;
  torch::Tensor Forward(const torch::Tensor& x) const { return Forward(x, layers_.size()); }
  /// Copies the rows into a tensor of the network's input shape.
  torch::Tensor Input(const Rows& rows) const;
  std::vector<TorchLayer>& layers() { return layers_; }
  const NetworkSpec& spec() const { return spec_; }

  std::vector<float> Probabilities(const Rows& rows) const override;
  uint64_t Parameters() const override;
  absl::StatusOr<std::string> Serialize(absl::string_view format) const override;
  absl::StatusOr<std::unique_ptr<Model>> Compressed(absl::string_view kind, double amount,
                                                    Random& random) const override;
  absl::StatusOr<std::unique_ptr<Model>> Tampered(absl::string_view kind, const TamperAim& aim,
                                                  Random& random) const override;

  std::unique_ptr<TorchModel> Clone() const;

 private:
  NetworkSpec spec_;
  std::vector<TorchLayer> layers_;  ///< spec_.convs.size() convolutions, then the linear layers.
};

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_TORCH_MODEL_H_
