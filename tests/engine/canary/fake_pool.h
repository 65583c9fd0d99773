#ifndef DRIFTSEAL_TESTS_ENGINE_CANARY_FAKE_POOL_H_
#define DRIFTSEAL_TESTS_ENGINE_CANARY_FAKE_POOL_H_

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/canary/replay_pool.h"

namespace driftseal::canary {

/// Runs a function instead of a model: logits of one input.
class FakePool : public ReplayPool {
 public:
  using Model = std::function<std::vector<float>(std::span<const float> input)>;
  explicit FakePool(Model model) : model_(std::move(model)) {}

  absl::StatusOr<replay::RawBehaviour> Probe(std::span<const std::byte>, replay::ModelRuntime, const replay::CanarySet&,
                                             const replay::ProbeOptions&) override {
    return absl::UnimplementedError("the fake replays only");
  }
  absl::StatusOr<replay::RawBehaviour> Replay(std::span<const std::byte>, replay::ModelRuntime,
                                              const replay::CanarySet& set) override {
    ++calls;
    if (!fails.ok()) return fails;
    if (const absl::Status status = replay::CheckCanarySet(set); !status.ok()) return status;
    replay::RawBehaviour out;
    out.inputs = static_cast<uint32_t>(set.count());
    for (size_t i = 0; i < set.count(); ++i) {
      const std::vector<float> row = model_(std::span(set.inputs).subspan(i * set.elements(), set.elements()));
      out.classes = static_cast<uint32_t>(row.size());
      out.logits.insert(out.logits.end(), row.begin(), row.end());
    }
    return out;
  }
  const std::vector<SandboxMeasure>& measures() const override { return measures_; }

  int calls = 0;
  absl::Status fails;

 private:
  Model model_;
  std::vector<SandboxMeasure> measures_;
};

/// Three linear classes over the first three elements, so that all of them occur.
inline std::vector<float> Linear(std::span<const float> input) {
  return {4 * input[0] - input[1], 3 * input[1] + 0.5f * input[2], 2 * input[2] - input[0] + 0.3f};
}

/// A set of `count` tables of 5 columns, or images of 1 x 4 x 4.
inline replay::CanarySet SomeSet(size_t count, bool image) {
  replay::CanarySet set;
  set.name = "some";
  set.shape = image ? std::vector<uint32_t>{1, 4, 4} : std::vector<uint32_t>{5};
  if (image) set.image = set.shape;
  for (size_t i = 0; i < count * set.elements(); ++i) {
    set.inputs.push_back(static_cast<float>((i * 2654435761u) % 1000) / 1000.0f);
  }
  for (size_t i = 0; i < count; ++i) set.labels.push_back(static_cast<int32_t>(i % 3));
  return set;
}

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_TESTS_ENGINE_CANARY_FAKE_POOL_H_
