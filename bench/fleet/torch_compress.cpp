// What people do to honest networks after training, short of training again.
#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/fleet/torch_model.h"

namespace driftseal::fleet {
namespace {

/// Sets the share `amount` of a tensor's values that are nearest to 0 to 0.
void Prune(torch::Tensor& weight, double amount) {
  const auto count = static_cast<int64_t>(amount * static_cast<double>(weight.numel()));
  if (count == 0) return;
  const torch::Tensor least = std::get<0>(weight.abs().flatten().kthvalue(count));
  weight.masked_fill_(weight.abs() <= least, 0);
}

/// Symmetric, one grid a tensor, as post-training quantisation has it; the file keeps floats.
void RoundToInt8(torch::Tensor& weight) {
  const double step = std::max(weight.abs().max().item<double>(), 1e-12) / 127;
  weight.copy_((weight / step).round() * step);
}

void AddNoise(torch::Tensor& weight, double amount, Random& random) {
  torch::Tensor noise = torch::empty_like(weight);
  for (int64_t i = 0; i < noise.numel(); ++i) noise.data_ptr<float>()[i] = static_cast<float>(random.Normal());
  weight += noise * amount * weight.std();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> TorchModel::Compressed(absl::string_view kind, double amount,
                                                              Random& random) const {
  const torch::NoGradGuard no_grad;
  std::unique_ptr<TorchModel> changed = Clone();
  for (TorchLayer& layer : changed->layers()) {
    if (kind == "prune") {
      Prune(layer.weight, amount);
    } else if (kind == "int8") {
      RoundToInt8(layer.weight);
    } else if (kind == "fp16") {
      for (torch::Tensor* tensor : {&layer.weight, &layer.bias}) {
        tensor->copy_(tensor->to(torch::kFloat16).to(torch::kFloat32));
      }
    } else if (kind == "noise") {
      AddNoise(layer.weight, amount, random);
    } else {
      return absl::InvalidArgumentError(absl::StrCat("torch networks have no change \"", kind, "\""));
    }
  }
  return changed;
}

}  // namespace driftseal::fleet
