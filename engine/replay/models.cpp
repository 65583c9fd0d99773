#include "engine/replay/models.h"

#include <ATen/Parallel.h>
#include <torch/jit.h>
#include <torch/nn/functional.h>
#include <torch/script.h>

#include "engine/replay/probe/probe.h"

namespace driftseal::replay {
namespace {

/// Runs once what models do first: kernels are chosen, code is generated and tables are filled in the service, not in
/// every worker. One thread: a process with more cannot leave its namespaces, nor be forked safely.
void Warm() {
  at::set_num_threads(1);
  namespace nn = torch::nn::functional;
  const torch::Tensor image = torch::rand({2, 1, 28, 28}).set_requires_grad(true);
  const torch::Tensor features = torch::relu(nn::conv2d(image, torch::rand({4, 1, 3, 3})));
  const torch::Tensor logits =
      nn::linear(nn::max_pool2d(features, nn::MaxPool2dFuncOptions(2)).flatten(1), torch::rand({3, 4 * 13 * 13}));
  torch::log_softmax(logits, 1).sum().backward();
  // The interpreter of TorchScript and its operators.
  const auto script = torch::jit::compile("def f(x):\n  return torch.softmax(torch.relu(torch.matmul(x, x)), 1)\n");
  for (int i = 0; i < 3; ++i) script->run_method("f", torch::rand({4, 4}));
}

absl::StatusOr<std::string> Work(std::span<const std::byte> model, const Job& job, const CanarySet& set) {
  absl::StatusOr<RawBehaviour> behaviour;
  if (job.kind == JobKind::kReplay) {
    behaviour = Replay(model, job.runtime, set);
  } else {
    const absl::StatusOr<ProbeOptions> options = DecodeProbeOptions(job.options);
    if (!options.ok()) return options.status();
    behaviour = Probe(model, job.runtime, set, *options);
  }
  if (!behaviour.ok()) return behaviour.status();
  return EncodeBehaviour(*behaviour);
}

}  // namespace

Handlers ModelHandlers() { return {.warm = Warm, .decode_set = DecodeCanarySet, .work = Work}; }

}  // namespace driftseal::replay
