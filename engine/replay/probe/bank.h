#ifndef DRIFTSEAL_ENGINE_REPLAY_PROBE_BANK_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROBE_BANK_H_

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/replay/probe/space.h"
#include "engine/replay/protocol/behaviour.h"

// The fixed bank of triggers of the sweep (README.md lists them). None needs to be an attacker's own: a backdoor
// answers to more than the trigger it was trained with.
namespace driftseal::replay {

/// One trigger as numbers: y_e = scale_e · Σ_t weight_{t,e} · x_{from_{t,e}} + offset_e, clamped to the space where
/// `clamp` is set.
struct Trigger {
  std::vector<float> scale, offset;  ///< elements
  std::vector<uint32_t> from = {};   ///< taps × elements; empty: one tap, the element itself.
  std::vector<float> weight = {};    ///< As `from`.
  bool clamp = true;
};

struct BankEntry {
  TriggerName name;
  std::function<Trigger()> make;  ///< Made when it is needed: the whole bank of large images would fill the memory.
};

/// The bank depends on the geometry of the set alone (tables: also on the columns' quantiles).
std::vector<BankEntry> MakeBank(const Space& space);
std::vector<BankEntry> MakeImageBank(const Space& space);
std::vector<BankEntry> MakeTableBank(const Space& space);

/// `inputs` and `out`: any number of whole inputs.
void Apply(const Trigger& trigger, const Space& space, std::span<const float> inputs, std::span<float> out);

/// A smooth image: `cells` × `cells` uniform values in [0, 1], interpolated between, for each channel. channels ×
/// height × width.
std::vector<float> SmoothNoise(const Space& space, size_t cells, uint64_t seed, uint64_t stream);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROBE_BANK_H_
