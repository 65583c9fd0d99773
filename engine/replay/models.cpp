#include "engine/replay/models.h"

#include <ATen/Parallel.h>
#include <torch/script.h>

#include <cstdio>
#include <sstream>

#include "engine/replay/probe/probe.h"

namespace driftseal::replay {
namespace {

/// A small network as an archive. What it does is of no importance; that it does what models do is.
std::string SmallModel() {
  torch::jit::Module module("Small");
  module.register_parameter("kernel", torch::rand({4, 1, 3, 3}), false);
  module.register_parameter("weight", torch::rand({3, 4 * 3 * 3}), false);
  module.register_parameter("bias", torch::rand({3}), false);
  module.define(R"(
    def forward(self, x):
      x = torch.max_pool2d(torch.relu(torch.conv2d(x, self.kernel)), 2)
      return torch.linear(torch.flatten(x, 1), self.weight, self.bias)
  )");
  std::ostringstream archive;
  module.save(archive);
  return archive.str();
}

/// Runs once what models do first: operators are registered, kernels chosen, code generated and tables filled in the
/// service, and not in every worker. One thread: a process of several cannot be forked safely.
void Warm() {
  at::set_num_threads(1);
  CanarySet set;
  set.name = "warm";
  set.shape = set.image = {1, 8, 8};
  set.inputs.resize(8 * 64);
  for (size_t i = 0; i < set.inputs.size(); ++i) set.inputs[i] = static_cast<float>(i % 17) / 17;
  set.labels.assign(8, -1);
  const std::string model = SmallModel();
  const absl::StatusOr<RawBehaviour> behaviour =
      Probe(std::as_bytes(std::span(model.data(), model.size())), ModelRuntime::kTorchScript, set, {});
  if (!behaviour.ok())
    std::fprintf(stderr, "the model to warm up with fails: %s\n", behaviour.status().ToString().c_str());
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
