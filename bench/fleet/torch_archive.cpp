// Writes networks as TorchScript archives (torch.jit.load in Python, torch::jit::load in C++) and as safetensors.
#include "bench/fleet/torch_archive.h"

#include <cstring>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/fleet/torch_model.h"
#include "engine/artifact/model_file.h"
#include "torch/script.h"

namespace driftseal::fleet {
namespace {

std::string ConvForward(const ConvSpec& conv) {
  return absl::StrCat("def forward(self, x):\n  return torch.conv2d(x, self.weight, self.bias, [", conv.stride, ", ",
                      conv.stride, "], [", conv.kernel / 2, ", ", conv.kernel / 2, "])\n");
}

constexpr char kLinearForward[] = "def forward(self, x):\n  return torch.linear(x, self.weight, self.bias)\n";

/// The network's forward as TorchScript source, the same steps as TorchModel::Forward.
std::string ForwardSource(const NetworkSpec& spec, size_t linear_layers) {
  std::string source = "def forward(self, x):\n";
  for (size_t i = 0; i < spec.convs.size(); ++i) {
    absl::StrAppend(&source, "  x = torch.relu(self.conv", i + 1, ".forward(x))\n");
    if (spec.convs[i].pool) absl::StrAppend(&source, "  x = torch.max_pool2d(x, [2, 2])\n");
  }
  absl::StrAppend(&source, "  x = torch.flatten(x, 1)\n");
  for (size_t i = 1; i < linear_layers; ++i) absl::StrAppend(&source, "  x = torch.relu(self.fc", i, ".forward(x))\n");
  absl::StrAppend(&source, "  return self.fc", linear_layers, ".forward(x)\n");
  return source;
}

std::string TorchScriptBytes(const NetworkSpec& spec, const std::vector<TorchLayer>& layers) {
  auto unit = std::make_shared<torch::jit::CompilationUnit>();
  torch::jit::Module module(c10::QualifiedName(absl::StrCat("__torch__.", spec.class_name)), unit);
  for (size_t i = 0; i < layers.size(); ++i) {
    const bool conv = i < spec.convs.size();
    const char* kind = conv ? "__torch__.Conv2d" : "__torch__.Linear";
    torch::jit::Module child(c10::QualifiedName(kind), unit, /*shouldMangle=*/true);
    child.register_parameter("weight", layers[i].weight.detach().clone().requires_grad_(), /*is_buffer=*/false);
    child.register_parameter("bias", layers[i].bias.detach().clone().requires_grad_(), /*is_buffer=*/false);
    child.define(conv ? ConvForward(spec.convs[i]) : kLinearForward);
    module.register_module(layers[i].name, child);
  }
  module.define(ForwardSource(spec, layers.size() - spec.convs.size()));
  std::ostringstream out;
  module.save(out);
  return std::move(out).str();
}

artifact::NamedTensor Named(const std::string& name, const torch::Tensor& tensor) {
  const torch::Tensor values = tensor.detach().contiguous();
  artifact::NamedTensor named{.name = name, .shape = {}, .dtype = artifact::DType::kF32, .data = {}};
  for (int64_t size : values.sizes()) named.shape.push_back(static_cast<uint64_t>(size));
  named.data.resize(static_cast<size_t>(values.numel()) * sizeof(float));
  std::memcpy(named.data.data(), values.data_ptr<float>(), named.data.size());
  return named;
}

}  // namespace

absl::StatusOr<std::string> TorchModel::Serialize(absl::string_view format) const {
  if (format == "safetensors") {
    std::vector<artifact::NamedTensor> tensors;
    for (const TorchLayer& layer : layers_) {
      tensors.push_back(Named(layer.name + ".weight", layer.weight));
      tensors.push_back(Named(layer.name + ".bias", layer.bias));
    }
    return artifact::WriteSafetensors(tensors, {{"format", "pt"}});
  }
  try {
    return TorchScriptBytes(spec_, layers_);
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("TorchScript: ", error.what()));
  }
}

absl::StatusOr<ArchiveRun> RunTorchArchive(const std::string& path, const Rows& rows,
                                           const std::vector<int64_t>& input_shape) {
  const torch::NoGradGuard no_grad;
  try {
    torch::jit::Module module = torch::jit::load(path);
    ArchiveRun run;
    for (const auto& parameter : module.named_parameters()) run.parameters.push_back(parameter.name);
    std::vector<int64_t> shape{static_cast<int64_t>(rows.size())};
    shape.insert(shape.end(), input_shape.begin(), input_shape.end());
    const torch::Tensor x = torch::tensor(rows.values).reshape(shape);
    const torch::Tensor p = torch::softmax(module.forward({x}).toTensor(), 1).contiguous();
    run.probabilities.assign(p.data_ptr<float>(), p.data_ptr<float>() + p.numel());
    return run;
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(path, ": ", error.what()));
  }
}

}  // namespace driftseal::fleet
