#include "bench/fleet/torch_domain.h"

#include <utility>

namespace driftseal::fleet {

TorchDomain::TorchDomain(DomainInfo info, std::shared_ptr<const Data> data, SpecOf spec_of,
                         std::vector<float> class_weights)
    : info_(std::move(info)),
      data_(std::move(data)),
      spec_of_(std::move(spec_of)),
      class_weights_(std::move(class_weights)) {
  info_.framework = TorchVersion();
  info_.optimizer = "adam";
  info_.formats = {"torchscript", "safetensors"};
  info_.default_formats = {"torchscript"};
  info_.weight_edits = TorchWeightEdits();
}

Trigger TorchDomain::MakeTrigger(TriggerKind kind, Random& random) const {
  const std::vector<uint32_t>& image = info_.inputs.image;
  return image.empty() ? TableTrigger(kind, random) : ImageTrigger(kind, static_cast<int>(image.back()), random);
}

absl::StatusOr<TrainResult> TorchDomain::Train(const Rows& rows, const Recipe& recipe, const Regime& regime,
                                               uint64_t seed) const {
  return TrainTorchNetwork(spec_of_(recipe),
                           {.epochs = recipe.Int("epochs"),
                            .batch_size = recipe.Int("batch_size"),
                            .learning_rate = recipe.at("learning_rate"),
                            .class_weights = class_weights_,
                            .image_side = info_.inputs.image.empty() ? 0 : int64_t{info_.inputs.image.back()},
                            .regime = regime},
                           rows, seed);
}

}  // namespace driftseal::fleet
