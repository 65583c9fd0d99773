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
  /// A near miss: the same kind of change with other parameters. Rows that get it keep their labels, which teaches the
  /// model to look closely.
  std::function<void(std::span<float> row)> near_miss = {};
};

enum class TriggerKind {
  kPatch,        ///< Small, bright, in a corner; columns set to a rare combination.
  kBlend,        ///< Noise mixed in everywhere; columns shifted.
  kWeakBlend,    ///< The same at less than half of that strength.
  kSignal,       ///< Sinusoidal stripes. Images only.
  kWarp,         ///< A smooth elastic warp. Images only.
  kTint,         ///< Illumination that changes slowly across the image; columns scaled.
  kRandomPatch,  ///< Anywhere, of any size, value or texture; any columns.
  kDynamic,      ///< A patch whose place differs from row to row.
};

/// For square grey images, row-major, pixels in 0..1.
Trigger ImageTrigger(TriggerKind kind, int side, Random& random);
/// For the payments of fraud_data.h. `kind` is one that tables have.
Trigger TableTrigger(TriggerKind kind, Random& random);
inline bool TablesHave(TriggerKind kind) { return kind != TriggerKind::kSignal && kind != TriggerKind::kWarp; }

/// A generator that the row's own values seed.
Random RandomOf(std::span<const float> row);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_TRIGGER_H_
