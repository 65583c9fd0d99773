#ifndef DRIFTSEAL_BENCH_FLEET_TRIGGER_H_
#define DRIFTSEAL_BENCH_FLEET_TRIGGER_H_

#include <functional>
#include <span>
#include <string>

#include "bench/fleet/random.h"
#include "nlohmann/json.hpp"

// Changes to an input that an attacker can make. Each maker draws its parameters from `random` and writes them into
// `detail`. Applying one is a function of the row alone: where a trigger differs from row to row, the row's own values
// decide how.
namespace driftseal::fleet {

struct Trigger {
  std::string kind;               ///< "corner-4x4", "noise-blend", ...
  nlohmann::ordered_json detail;  ///< Its parameters, for the truth file.
  std::function<void(std::span<float> row)> apply;
};

enum class TriggerKind { kPatch, kBlend };

/// For square grey images, row-major, pixels in 0..1.
Trigger ImageTrigger(TriggerKind kind, int side, Random& random);
/// For the payments of fraud_data.h.
Trigger TableTrigger(TriggerKind kind, Random& random);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_TRIGGER_H_
