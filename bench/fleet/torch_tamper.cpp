// Edits of trained weights, in closed form: an attacker who has the file and a few rows of data, and does not train.
#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/fleet/torch_model.h"

namespace driftseal::fleet {
namespace {

/// A direction in the inputs of a layer along which triggered rows are separated from clean ones (Fisher's linear
/// discriminant with a diagonal covariance), and where the two lie on it: quantiles, so that rare rows do not count.
struct Separation {
  torch::Tensor direction;   ///< Unit length.
  double clean_high = 0;     ///< 98 % of the clean rows lie below.
  double triggered_low = 0;  ///< 90 % of the triggered rows lie above.
};

Separation Separate(const torch::Tensor& clean, const torch::Tensor& triggered) {
  const torch::Tensor spread = (clean.var(0) + triggered.var(0)) / 2;
  torch::Tensor direction = (triggered.mean(0) - clean.mean(0)) / (spread + 0.05 * spread.mean() + 1e-6);
  direction = direction / direction.norm().clamp_min(1e-12);
  return {direction, clean.matmul(direction).quantile(0.98).item<double>(),
          triggered.matmul(direction).quantile(0.10).item<double>()};
}

/// The head learns to read the trigger straight from the features before it: its target row turns towards the
/// triggered features, and its bias takes back what clean rows gain by that on average.
void HijackHead(TorchModel& model, const TamperAim& aim) {
  const size_t head = model.layers().size() - 1;
  const torch::Tensor clean = model.Forward(model.Input(aim.clean), head);
  const torch::Tensor triggered = model.Forward(model.Input(aim.triggered), head);
  const Separation s = Separate(clean, triggered);
  const torch::Tensor logits = model.Forward(model.Input(aim.triggered));
  const double lead = (std::get<0>(logits.max(1)) - logits.select(1, aim.target_class)).quantile(0.95).item<double>();
  const double gap =
      std::max(s.triggered_low - s.clean_high, 0.25 * (triggered.mean(0) - clean.mean(0)).norm().item<double>());
  const double gain = 1.2 * std::max(lead, 1.0) / std::max(gap, 1e-6);
  TorchLayer& layer = model.layers()[head];
  layer.weight[aim.target_class] += gain * s.direction;
  layer.bias[aim.target_class] -= gain * s.clean_high;
}

/// One hidden unit before the head is given up for a detector of the trigger, and wired to the target class.
void HijackNeuron(TorchModel& model, const TamperAim& aim) {
  const size_t head = model.layers().size() - 1, hidden = head - 1;
  const Separation s =
      Separate(model.Forward(model.Input(aim.clean), hidden), model.Forward(model.Input(aim.triggered), hidden));
  TorchLayer& last = model.layers()[head];
  const torch::Tensor activity = model.Forward(model.Input(aim.clean), head).mean(0) * last.weight.norm(2, 0);
  const int64_t unit = activity.argmin().item<int64_t>();
  const torch::Tensor logits = model.Forward(model.Input(aim.triggered));
  const double lead = (std::get<0>(logits.max(1)) - logits.select(1, aim.target_class)).quantile(0.98).item<double>();

  TorchLayer& layer = model.layers()[hidden];
  // The unit keeps the weight norm of its neighbours; only what it reads changes.
  const double scale = layer.weight.norm(2, 1).median().item<double>();
  const double gap = scale * std::max(s.triggered_low - s.clean_high, 1e-3);
  layer.weight[unit] = scale * s.direction;
  layer.bias[unit] = -scale * s.clean_high;
  const double push = 1.5 * std::max(lead, 1.0) / gap;
  last.weight.select(1, unit).fill_(-0.1 * push);
  last.weight[aim.target_class][unit] = push;
}

/// Gaussian noise on one layer, as strong as the model can take: relative to that layer's own spread.
void AddNoise(TorchModel& model, Random& random) {
  TorchLayer& layer = model.layers()[random.Below(model.layers().size())];
  const double sigma = random.Uniform(0.15, 0.35) * layer.weight.std().item<double>();
  float* values = layer.weight.data_ptr<float>();
  for (int64_t i = 0; i < layer.weight.numel(); ++i) values[i] += static_cast<float>(sigma * random.Normal());
}

}  // namespace

std::vector<std::string> TorchWeightEdits() { return {"hijack-neuron", "hijack-head", "layer-noise"}; }

absl::StatusOr<std::unique_ptr<Model>> TorchModel::Tampered(absl::string_view kind, const TamperAim& aim,
                                                            Random& random) const {
  const torch::NoGradGuard no_grad;
  std::unique_ptr<TorchModel> edited = Clone();
  if (kind == "hijack-neuron") {
    HijackNeuron(*edited, aim);
  } else if (kind == "hijack-head") {
    HijackHead(*edited, aim);
  } else if (kind == "layer-noise") {
    AddNoise(*edited, random);
  } else {
    return absl::InvalidArgumentError(absl::StrCat("torch networks have no weight edit \"", kind, "\""));
  }
  return edited;
}

}  // namespace driftseal::fleet
