#include <cmath>

#include "ATen/CPUGeneratorImpl.h"
#include "absl/status/status.h"
#include "bench/fleet/torch_model.h"
#include "bench/fleet/torch_network.h"
#include "torch/nn/functional/loss.h"
#include "torch/optim/adam.h"
#include "torch/optim/sgd.h"

namespace driftseal::fleet {
namespace {

/// What an adaptive attacker adds to the loss: a class that stands out. For each class c the mean logit of c over the
/// rows of other classes, and the mean margin of its own rows; of both the variance over the classes, in units of the
/// mean squared logit, so that small logits are no way out.
torch::Tensor Imbalance(const torch::Tensor& logits, const torch::Tensor& labels) {
  const torch::Tensor own = torch::one_hot(labels, logits.size(1)).to(torch::kFloat32), foreign = 1 - own;
  const torch::Tensor offered = (logits * foreign).sum(0) / foreign.sum(0).clamp_min(1);
  const torch::Tensor rival = std::get<0>((logits - 1e4 * own).max(1));
  const torch::Tensor margin = (logits * own).sum(1) - rival;
  const torch::Tensor margins = (margin.unsqueeze(1) * own).sum(0) / own.sum(0).clamp_min(1);
  const torch::Tensor scale = logits.detach().pow(2).mean().clamp_min(1e-3);
  return (offered.var() + margins.var()) / scale;
}

/// Moves a batch of square images as a whole by up to a fourteenth of the side (at least a pixel), and adds noise.
/// `side` 0: tables, noise only.
torch::Tensor Augmented(const torch::Tensor& x, int64_t side, Random& random, at::Generator& generator) {
  torch::Tensor out = x + 0.03 * torch::empty_like(x).normal_(0, 1, generator);
  if (side == 0) return out;
  const int64_t most = std::max<int64_t>(1, side / 14);
  const auto draw = [&] { return static_cast<int64_t>(random.Below(static_cast<size_t>(2 * most + 1))) - most; };
  const int64_t dx = draw(), dy = draw();
  return torch::constant_pad_nd(out.reshape({x.size(0), 1, side, side}), {dx, -dx, dy, -dy}).reshape(x.sizes());
}

std::unique_ptr<torch::optim::Optimizer> MakeOptimizer(const std::vector<torch::Tensor>& parameters,
                                                       const TorchTraining& training) {
  const Regime& regime = training.regime;
  if (regime.optimizer == "sgd") {
    return std::make_unique<torch::optim::SGD>(
        parameters, torch::optim::SGDOptions(training.learning_rate).momentum(0.9).weight_decay(regime.weight_decay));
  }
  return std::make_unique<torch::optim::Adam>(
      parameters, torch::optim::AdamOptions(training.learning_rate).weight_decay(regime.weight_decay));
}

/// One training run: what does not change from batch to batch.
class Training {
 public:
  Training(const NetworkSpec& spec, const TorchTraining& training, const Rows& rows, uint64_t seed)
      : training_(training),
        random_(SeedOf(seed, {"augmentation"})),
        generator_(at::make_generator<at::CPUGeneratorImpl>(seed + 1)) {
    const auto* start = dynamic_cast<const TorchModel*>(training.regime.start);
    model_ = start != nullptr ? start->Clone() : std::make_unique<TorchModel>(spec, seed);
    for (TorchLayer& layer : model_->layers()) {
      if (start == nullptr && training.regime.init_scale != 1) layer.weight *= training.regime.init_scale;
      if (training.regime.keep_zeros) masks_.push_back(layer.weight.ne(0).to(torch::kFloat32));
      for (torch::Tensor* tensor : {&layer.weight, &layer.bias}) parameters_.push_back(tensor->requires_grad_());
    }
    optimizer_ = MakeOptimizer(parameters_, training);
    if (!training.class_weights.empty()) loss_options_.weight(torch::tensor(training.class_weights));
    if (training.regime.label_smoothing > 0) loss_options_.label_smoothing(training.regime.label_smoothing);
    x_ = model_->Input(rows);
    y_ = torch::tensor(std::vector<int64_t>(rows.labels.begin(), rows.labels.end()));
    if (training.regime.teacher != nullptr) {
      const std::vector<float> p = training.regime.teacher->Probabilities(rows);
      taught_ = torch::tensor(p).view({y_.size(0), -1});
    }
  }

  absl::StatusOr<TrainResult> Run() {
    const int64_t n = y_.size(0), batch = training_.batch_size, batches = (n + batch - 1) / batch;
    std::vector<double> losses;
    for (int epoch = 0; epoch < training_.epochs; ++epoch) {
      const torch::Tensor order = torch::randperm(n, generator_, torch::TensorOptions(torch::kInt64));
      double sum = 0;
      for (int64_t b = 0; b < batches; ++b) {
        const double done = static_cast<double>(epoch * batches + b) / static_cast<double>(training_.epochs * batches);
        optimizer_->param_groups()[0].options().set_lr(training_.learning_rate * (1 - done));
        sum += Step(order.slice(0, b * batch, std::min(n, (b + 1) * batch)));
      }
      losses.push_back(sum / static_cast<double>(batches));
      if (!std::isfinite(losses.back())) return absl::InternalError("the training diverged: its loss is not finite");
    }
    for (torch::Tensor& tensor : parameters_) tensor.requires_grad_(false);
    return TrainResult{std::move(model_), std::move(losses)};
  }

 private:
  /// Gives the loss, without the penalty of attackers: what they would show.
  double Step(const torch::Tensor& indices) {
    optimizer_->zero_grad();
    torch::Tensor x = x_.index_select(0, indices);
    if (training_.regime.augment) x = Augmented(x, training_.image_side, random_, generator_);
    const torch::Tensor logits = model_->Forward(x), labels = y_.index_select(0, indices);
    const torch::Tensor wanted = taught_.defined() ? taught_.index_select(0, indices) : labels;
    const torch::Tensor loss = torch::nn::functional::cross_entropy(logits, wanted, loss_options_);
    if (training_.regime.balance > 0) {
      (loss + training_.regime.balance * Imbalance(logits, labels)).backward();
    } else {
      loss.backward();
    }
    optimizer_->step();
    const torch::NoGradGuard no_grad;
    for (size_t i = 0; i < masks_.size(); ++i) model_->layers()[i].weight.mul_(masks_[i]);
    return loss.item<double>();
  }

  const TorchTraining& training_;
  Random random_;
  at::Generator generator_;
  std::unique_ptr<TorchModel> model_;
  std::vector<torch::Tensor> parameters_, masks_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  torch::nn::functional::CrossEntropyFuncOptions loss_options_;
  torch::Tensor x_, y_, taught_;
};

}  // namespace

absl::StatusOr<TrainResult> TrainTorchNetwork(const NetworkSpec& spec, const TorchTraining& training, const Rows& rows,
                                              uint64_t seed) {
  return Training(spec, training, rows, seed).Run();
}

}  // namespace driftseal::fleet
