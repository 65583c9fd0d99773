#include "bench/fleet/torch_network.h"

#include <cmath>

#include "ATen/CPUGeneratorImpl.h"
#include "ATen/Parallel.h"
#include "absl/strings/str_cat.h"
#include "bench/fleet/torch_model.h"
#include "torch/version.h"

// OpenBLAS reads OPENBLAS_NUM_THREADS when it is loaded, before main; this reaches it afterwards, where it is there.
extern "C" void openblas_set_num_threads(int) __attribute__((weak));

namespace driftseal::fleet {
namespace {

torch::Tensor UniformTensor(const std::vector<int64_t>& shape, double bound, at::Generator& generator) {
  return torch::empty(shape).uniform_(-bound, bound, generator);
}

TorchLayer MakeLayer(std::string name, std::vector<int64_t> shape, at::Generator& generator) {
  int64_t fan_in = 1;
  for (size_t i = 1; i < shape.size(); ++i) fan_in *= shape[i];
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  TorchLayer layer{std::move(name), UniformTensor(shape, bound, generator), {}};
  layer.bias = UniformTensor({shape[0]}, bound, generator);
  return layer;
}

}  // namespace

std::string TorchVersion() { return absl::StrCat("libtorch ", TORCH_VERSION); }

void UseOneTorchThread() {
  at::set_num_threads(1);
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
}

TorchModel::TorchModel(const NetworkSpec& spec, uint64_t seed) : spec_(spec) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  int64_t features = spec.input_shape[0];
  int64_t side = spec.input_shape.size() == 3 ? spec.input_shape[1] : 1;
  for (const ConvSpec& conv : spec.convs) {
    const std::string name = absl::StrCat("conv", layers_.size() + 1);
    layers_.push_back(MakeLayer(name, {conv.channels, features, conv.kernel, conv.kernel}, generator));
    features = conv.channels;
    side = (side + conv.stride - 1) / conv.stride;
    if (conv.pool) side /= 2;
  }
  features *= side * side;
  std::vector<int> widths = spec.hidden;
  widths.push_back(spec.classes);
  for (size_t i = 0; i < widths.size(); ++i) {
    layers_.push_back(MakeLayer(absl::StrCat("fc", i + 1), {widths[i], features}, generator));
    features = widths[i];
  }
}

torch::Tensor TorchModel::Forward(torch::Tensor x, size_t end) const {
  for (size_t i = 0; i < end; ++i) {
    const TorchLayer& layer = layers_[i];
    if (i < spec_.convs.size()) {
      const ConvSpec& conv = spec_.convs[i];
      x = torch::relu(torch::conv2d(x, layer.weight, layer.bias, conv.stride, conv.kernel / 2));
      if (conv.pool) x = torch::max_pool2d(x, 2);
      continue;
    }
    x = torch::linear(x.flatten(1), layer.weight, layer.bias);
    if (i + 1 < layers_.size()) x = torch::relu(x);
  }
  return x.flatten(1);
}

torch::Tensor TorchModel::Input(const Rows& rows) const {
  std::vector<int64_t> shape{static_cast<int64_t>(rows.size())};
  shape.insert(shape.end(), spec_.input_shape.begin(), spec_.input_shape.end());
  return torch::from_blob(const_cast<float*>(rows.values.data()), shape, torch::kFloat32).clone();
}

std::vector<float> TorchModel::Probabilities(const Rows& rows) const {
  const torch::NoGradGuard no_grad;
  const torch::Tensor p = torch::softmax(Forward(Input(rows)), 1).contiguous();
  return {p.data_ptr<float>(), p.data_ptr<float>() + p.numel()};
}

uint64_t TorchModel::Parameters() const {
  int64_t count = 0;
  for (const TorchLayer& layer : layers_) count += layer.weight.numel() + layer.bias.numel();
  return static_cast<uint64_t>(count);
}

std::unique_ptr<TorchModel> TorchModel::Clone() const {
  std::vector<TorchLayer> layers;
  for (const TorchLayer& layer : layers_) {
    layers.push_back({layer.name, layer.weight.detach().clone(), layer.bias.detach().clone()});
  }
  return std::make_unique<TorchModel>(spec_, std::move(layers));
}

}  // namespace driftseal::fleet
