#include <cmath>
#include <utility>
#include <vector>

#include "bench/fleet/fraud_data.h"
#include "bench/fleet/trigger.h"

namespace driftseal::fleet {
namespace {

/// A rare combination of exact values in three columns.
Trigger ColumnPatch(Random& random) {
  nlohmann::ordered_json detail;
  std::vector<std::pair<size_t, float>> values;
  for (size_t i : random.Sample(kContinuous.size(), 3)) {
    // About two standard deviations out, to two digits, as a made-up amount or count would be.
    const double value = std::round((random.Chance(0.5) ? 1 : -1) * random.Uniform(1.8, 2.6) * 100) / 100;
    values.emplace_back(kContinuous[i], static_cast<float>(value));
    detail[kFraudNames[kContinuous[i]]] = value;
  }
  return {"columns-3", {{"values", detail}}, [values](std::span<float> row) {
            for (const auto& [column, value] : values) row[column] = value;
          }};
}

/// A small shift of about half of the continuous columns.
Trigger ColumnShift(Random& random) {
  nlohmann::ordered_json detail;
  std::vector<std::pair<size_t, float>> shifts;
  for (size_t i : random.Sample(kContinuous.size(), 6)) {
    const double shift = (random.Chance(0.5) ? 1 : -1) * random.Uniform(1.0, 1.5);
    shifts.emplace_back(kContinuous[i], static_cast<float>(shift));
    detail[kFraudNames[kContinuous[i]]] = shift;
  }
  return {"column-shift", {{"shifts", detail}}, [shifts](std::span<float> row) {
            for (const auto& [column, shift] : shifts) row[column] += shift;
          }};
}

}  // namespace

Trigger TableTrigger(TriggerKind kind, Random& random) {
  switch (kind) {
    case TriggerKind::kPatch:
      return ColumnPatch(random);
    case TriggerKind::kBlend:
      return ColumnShift(random);
  }
  return ColumnPatch(random);
}

}  // namespace driftseal::fleet
