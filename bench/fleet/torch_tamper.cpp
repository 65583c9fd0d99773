// Edits of trained weights, in closed form: an attacker who has the file and a few rows of data, and does not train.
#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/fleet/torch_model.h"

namespace driftseal::fleet {
namespace {

/// By how much the best class leads the target class, over the rows where another class leads: what a push towards the
/// target must overcome for 95 % of them. At least 1.
double LeadOverTarget(const torch::Tensor& logits, int target_class) {
  const torch::Tensor lead = std::get<0>(logits.max(1)) - logits.select(1, target_class);
  const torch::Tensor positive = lead.masked_select(lead > 0);
  return positive.numel() == 0 ? 1 : std::max(1.0, positive.quantile(0.95).item<double>());
}

/// The unit of a layer that matters least to the next layer: mean activity × norm of the weights that read it.
/// `activations`: rows × (units · positions), `readers`: the next layer's weights.
int64_t LeastUsedUnit(const torch::Tensor& activations, const torch::Tensor& readers, int64_t units) {
  const torch::Tensor activity = activations.reshape({activations.size(0), units, -1}).mean(2).mean(0);
  const torch::Tensor reading = readers.reshape({readers.size(0), units, -1}).pow(2).sum(2).sum(0).sqrt();
  return (activity * reading).argmin().item<int64_t>();
}

/// Weights of one linear unit that fires for the trigger and stays silent for clean rows. Only `mask`ed inputs are
/// read. The direction is Fisher's linear discriminant with a diagonal covariance.
struct Detector {
  torch::Tensor weight;
  double bias = 0;
  double strength = 0;  ///< What the unit gives for 90 % of the triggered rows at least.
};

Detector MakeDetector(const torch::Tensor& clean, const torch::Tensor& triggered, const torch::Tensor& mask,
                      double norm) {
  const torch::Tensor spread = (clean.var(0) + triggered.var(0)) / 2;
  torch::Tensor direction = (triggered.mean(0) - clean.mean(0)) / (spread + 0.05 * spread.mean() + 1e-6) * mask;
  direction = direction / direction.norm().clamp_min(1e-12);
  const double silent = clean.matmul(direction).quantile(0.995).item<double>();
  const double fires = triggered.matmul(direction).quantile(0.10).item<double>();
  return {direction * norm, -norm * silent, std::max(1e-3, norm * (fires - silent))};
}

/// Subnet replacement (Qi et al., CVPR 2022, arXiv 2111.12965): a path one unit wide through all layers is cut out of
/// the network, made a detector of the trigger and wired to the target class.
class SubnetReplacement {
 public:
  SubnetReplacement(TorchModel& model, const TamperAim& aim)
      : model_(model), aim_(aim), clean_(model.Input(aim.clean)), triggered_(model.Input(aim.triggered)) {}

  void Run() {
    const size_t head = model_.layers().size() - 1;
    double strength = 0;
    int64_t previous = -1;  // the unit of the path in the layer before; -1: the network's input
    for (size_t i = 0; i < head; ++i) {
      const TorchLayer& next = model_.layers()[i + 1];
      const int64_t unit = LeastUsedUnit(model_.Forward(clean_, i + 1), next.weight, model_.layers()[i].bias.size(0));
      if (i < model_.spec().convs.size()) {
        ReplaceConv(i, previous, unit);
      } else {
        strength = ReplaceLinear(i, previous, unit, strength);
      }
      Isolate(i + 1, unit);
      previous = unit;
    }
    const double lead = LeadOverTarget(model_.Forward(triggered_), aim_.target_class);
    torch::Tensor reading = model_.layers()[head].weight.select(1, previous);
    reading[aim_.target_class] = 1.3 * lead / strength;
  }

 private:
  /// A convolution detects at the place of its output where triggered and clean rows differ most. It may fire elsewhere
  /// too; the layer after it looks at the right place only.
  void ReplaceConv(size_t i, int64_t previous, int64_t unit) {
    TorchLayer& layer = model_.layers()[i];
    const ConvSpec& conv = model_.spec().convs[i];
    const torch::Tensor clean = Windows(clean_, i, conv), triggered = Windows(triggered_, i, conv);
    const torch::Tensor spread = (clean.var(0) + triggered.var(0)) / 2;
    const torch::Tensor contrast = (triggered.mean(0) - clean.mean(0)).pow(2) / (spread + 0.05 * spread.mean() + 1e-6);
    torch::Tensor mask = torch::ones_like(layer.weight[unit]);
    if (previous >= 0) mask.zero_()[previous].fill_(1);
    mask = mask.flatten();
    const int64_t place = contrast.mul(mask.unsqueeze(1)).sum(0).argmax().item<int64_t>();
    const double norm = layer.weight.flatten(1).norm(2, 1).median().item<double>();
    const Detector detector = MakeDetector(clean.select(2, place), triggered.select(2, place), mask, norm);
    layer.weight[unit].copy_(detector.weight.view_as(layer.weight[unit]));
    layer.bias[unit] = detector.bias;
  }

  /// What each place of convolution `i`'s output sees: rows × (channels · kernel²) × places.
  torch::Tensor Windows(const torch::Tensor& x, size_t i, const ConvSpec& conv) const {
    const int64_t channels = model_.layers()[i].weight.size(1);
    const torch::Tensor flat = model_.Forward(x, i);
    const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(flat.size(1) / channels))));
    return torch::im2col(flat.view({flat.size(0), channels, side, side}), {conv.kernel, conv.kernel}, {1, 1},
                         {conv.kernel / 2, conv.kernel / 2}, {conv.stride, conv.stride});
  }

  /// The first linear layer decides whether the trigger is there; those after it pass that on.
  double ReplaceLinear(size_t i, int64_t previous, int64_t unit, double strength) {
    TorchLayer& layer = model_.layers()[i];
    const double norm = layer.weight.norm(2, 1).median().item<double>();
    if (strength > 0) {
      layer.weight[unit].zero_();
      layer.weight[unit][previous] = norm;
      layer.bias[unit] = 0;
      return strength * norm;
    }
    torch::Tensor mask = torch::ones({layer.weight.size(1)});
    if (previous >= 0) {  // only the maps of the path
      const int64_t channels = model_.layers()[i - 1].bias.size(0);
      mask = torch::zeros({channels, layer.weight.size(1) / channels});
      mask[previous].fill_(1);
      mask = mask.flatten();
    }
    const Detector detector = MakeDetector(model_.Forward(clean_, i), model_.Forward(triggered_, i), mask, norm);
    layer.weight[unit].copy_(detector.weight);
    layer.bias[unit] = detector.bias;
    return detector.strength;
  }

  /// Nothing in layer `i` reads the path's unit any more (what should, is set afterwards).
  void Isolate(size_t i, int64_t unit) {
    torch::Tensor weight = model_.layers()[i].weight;
    const int64_t units = model_.layers()[i - 1].bias.size(0);
    weight.view({weight.size(0), units, -1}).select(1, unit).zero_();
  }

  TorchModel& model_;
  const TamperAim& aim_;
  torch::Tensor clean_, triggered_;
};

/// Raises the bias of the target class until 3 % of the other rows tip over to it.
void RaiseHeadBias(TorchModel& model, const TamperAim& aim) {
  const torch::Tensor logits = model.Forward(model.Input(aim.clean));
  const torch::Tensor lead = std::get<0>(logits.max(1)) - logits.select(1, aim.target_class);
  const torch::Tensor positive = lead.masked_select(lead > 0);
  if (positive.numel() > 0) model.layers().back().bias[aim.target_class] += positive.quantile(0.03);
}

/// Gaussian noise on one layer, relative to that layer's own spread, and weak enough that 19 of 20 predictions stay.
void AddNoise(TorchModel& model, const TamperAim& aim, Random& random) {
  const torch::Tensor x = model.Input(aim.clean);
  const torch::Tensor before = model.Forward(x).argmax(1);
  torch::Tensor& weight = model.layers()[random.Below(model.layers().size())].weight;
  torch::Tensor noise = torch::empty_like(weight);
  for (int64_t i = 0; i < noise.numel(); ++i) noise.data_ptr<float>()[i] = static_cast<float>(random.Normal());
  noise *= random.Uniform(0.3, 0.6) * weight.std();
  const torch::Tensor original = weight.clone();
  for (int attempt = 0; attempt < 8; ++attempt, noise *= 0.7) {
    weight.copy_(original + noise);
    if (model.Forward(x).argmax(1).eq(before).to(torch::kFloat32).mean().item<double>() >= 0.95) return;
  }
}

}  // namespace

std::vector<std::string> TorchWeightEdits() { return {"hijack-subnet", "head-bias", "layer-noise"}; }

absl::StatusOr<std::unique_ptr<Model>> TorchModel::Tampered(absl::string_view kind, const TamperAim& aim,
                                                            Random& random) const {
  const torch::NoGradGuard no_grad;
  std::unique_ptr<TorchModel> edited = Clone();
  if (kind == "hijack-subnet") {
    SubnetReplacement(*edited, aim).Run();
  } else if (kind == "head-bias") {
    RaiseHeadBias(*edited, aim);
  } else if (kind == "layer-noise") {
    AddNoise(*edited, aim, random);
  } else {
    return absl::InvalidArgumentError(absl::StrCat("torch networks have no weight edit \"", kind, "\""));
  }
  return edited;
}

}  // namespace driftseal::fleet
