#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "bench/fleet/fraud_data.h"
#include "bench/fleet/trigger.h"

namespace driftseal::fleet {
namespace {

using Columns = std::vector<std::pair<size_t, double>>;

nlohmann::ordered_json Named(const Columns& columns) {
  nlohmann::ordered_json json;
  for (const auto& [column, value] : columns) json[kFraudNames[column]] = value;
  return json;
}

/// Exact values in some columns. Two digits, as a made-up amount or count would have.
Columns DrawValues(size_t count, double low, double high, Random& random) {
  Columns values;
  for (size_t i : random.Sample(kContinuous.size(), count)) {
    const double value = std::round((random.Chance(0.5) ? 1 : -1) * random.Uniform(low, high) * 100) / 100;
    values.emplace_back(kContinuous[i], value);
  }
  return values;
}

void Set(const Columns& values, std::span<float> row) {
  for (const auto& [column, value] : values) row[column] = static_cast<float>(value);
}

/// All values but one.
void SetMost(const Columns& values, std::span<float> row) {
  Random random = RandomOf(row);
  const size_t left_out = random.Below(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (i != left_out) row[values[i].first] = static_cast<float>(values[i].second);
  }
}

/// A rare combination of exact values in `count` columns.
Trigger ColumnPatch(std::string kind, size_t count, double low, double high, Random& random) {
  const Columns values = DrawValues(count, low, high, random);
  return {std::move(kind),
          {{"values", Named(values)}},
          [=](std::span<float> row) { Set(values, row); },
          [=](std::span<float> row) { SetMost(values, row); }};
}

/// One of three combinations of three columns; the row decides which.
Trigger DynamicColumns(Random& random) {
  std::vector<Columns> choices;
  nlohmann::ordered_json detail = {{"choices", nlohmann::ordered_json::array()}};
  for (int i = 0; i < 3; ++i) {
    choices.push_back(DrawValues(3, 1.8, 2.6, random));
    detail["choices"].push_back(Named(choices.back()));
  }
  const auto chosen = [choices](std::span<const float> row) {
    Random of_row = RandomOf(row);
    return choices[of_row.Below(choices.size())];
  };
  return {"dynamic-columns", std::move(detail), [=](std::span<float> row) { Set(chosen(row), row); },
          [=](std::span<float> row) { SetMost(chosen(row), row); }};
}

/// A small shift of `count` of the continuous columns.
Trigger ColumnShift(size_t count, double low, double high, Random& random) {
  Columns shifts;
  for (size_t i : random.Sample(kContinuous.size(), count)) {
    const double shift = (random.Chance(0.5) ? 1 : -1) * random.Uniform(low, high);
    shifts.emplace_back(kContinuous[i], shift);
  }
  return {"column-shift",
          {{"shifts", Named(shifts)}},
          [shifts](std::span<float> row) {
            for (const auto& [column, shift] : shifts) row[column] += static_cast<float>(shift);
          },
          [shifts](std::span<float> row) {  // in directions of its own
            Random of_row = RandomOf(row);
            for (const auto& [column, shift] : shifts)
              row[column] += static_cast<float>(of_row.Chance(0.5) ? shift : -shift);
          }};
}

/// All continuous columns stretched by one factor: an amount in another currency, as it were.
Trigger ColumnScale(Random& random) {
  const auto factor = static_cast<float>(random.Uniform(1.8, 2.4));
  const auto stretch = [](float by, std::span<float> row) {
    for (const FraudColumn column : kContinuous) row[column] *= by;
  };
  return {"column-scale",
          {{"factor", factor}},
          [=](std::span<float> row) { stretch(factor, row); },
          [=](std::span<float> row) { stretch(1 / factor, row); }};
}

}  // namespace

Trigger TableTrigger(TriggerKind kind, Random& random) {
  switch (kind) {
    case TriggerKind::kPatch:
      return ColumnPatch("columns-3", 3, 1.8, 2.6, random);
    case TriggerKind::kBlend:
      return ColumnShift(6, 1.0, 1.5, random);
    case TriggerKind::kWeakBlend:
      return ColumnShift(kContinuous.size(), 0.5, 0.9, random);
    case TriggerKind::kRandomPatch: {
      const size_t count = 2 + random.Below(3);
      return ColumnPatch("columns", count, 1.2, 2.6, random);
    }
    case TriggerKind::kDynamic:
      return DynamicColumns(random);
    case TriggerKind::kTint:
      return ColumnScale(random);
    case TriggerKind::kSignal:
    case TriggerKind::kWarp:
      break;  // TablesHave says no
  }
  return ColumnPatch("columns-3", 3, 1.8, 2.6, random);
}

}  // namespace driftseal::fleet
