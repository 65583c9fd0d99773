#ifndef DRIFTSEAL_ENGINE_CANARY_INPUTS_H_
#define DRIFTSEAL_ENGINE_CANARY_INPUTS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/canary/replay_pool.h"
#include "engine/replay/protocol/behaviour.h"

// Canary inputs that need no data. The same set, count and seed give the same inputs on every machine, bit for bit:
// only arithmetic that IEEE 754 fixes is used.
namespace driftseal::canary {

/// `count` inputs of `set`'s shape, row-major: images uniform in [low, high] in each element; tables nearly normal (the
/// sum of twelve uniform numbers) with each column's mean and deviation over the set's inputs, 0 and 1 where it has
/// fewer than 2.
std::vector<float> NoiseInputs(const replay::CanarySet& set, size_t count, uint64_t seed);

/// The same with what is near in an input alike: a coarse grid of noise, 4 x 4 a channel (tables: every eighth column),
/// interpolated linearly.
std::vector<float> StructuredNoise(const replay::CanarySet& set, size_t count, uint64_t seed);

/// Up to `count` inputs near the boundary between two classes: between two inputs of `set` that the model gives
/// different classes (`logits` on them, count × classes), halved `steps` times; of all points tried on the way the one
/// with the least margin. All pairs in one Replay a step. Empty where the model gives all inputs one class.
absl::StatusOr<std::vector<float>> BoundaryInputs(ReplayPool& pool, std::span<const std::byte> model,
                                                  replay::ModelRuntime runtime, const replay::CanarySet& set,
                                                  std::span<const float> logits, size_t count, uint64_t seed,
                                                  size_t steps = 8);

/// The class of a row, the first of several that are largest, and how far it lies above the next.
struct Top {
  int32_t predicted = 0;
  float margin = 0;
};
Top TopOf(std::span<const float> row);

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_INPUTS_H_
