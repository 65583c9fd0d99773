#ifndef DRIFTSEAL_ENGINE_REPLAY_PROBE_PROBE_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROBE_PROBE_H_

#include <cstddef>
#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "engine/replay/protocol/behaviour.h"

// Runs a model and measures what it does. Inside the replay process only: the model's own code runs here.
namespace driftseal::replay {

/// Opens the model from its bytes and takes all measurements of `options`. One thread; the same model, set and options
/// give the same result, bit for bit, on one machine.
/// InvalidArgument: the file is no such model, or it does not take inputs of the set's shape, or does not answer with
/// one row of at least 2 (a single value: 2) classes an input. Internal: the model's code failed (its message), or its
/// outputs are not finite.
absl::StatusOr<RawBehaviour> Probe(std::span<const std::byte> model, ModelRuntime runtime, const CanarySet& set,
                                   const ProbeOptions& options);

/// Outputs on the canaries alone, N × C logits, for behaviour hashes.
absl::StatusOr<RawBehaviour> Replay(std::span<const std::byte> model, ModelRuntime runtime, const CanarySet& set);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROBE_PROBE_H_
