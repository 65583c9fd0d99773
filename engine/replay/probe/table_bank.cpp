#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/replay/probe/bank.h"
#include "kernels/random.h"

namespace driftseal::replay {
namespace {

constexpr uint64_t kSeed = 20261128;
constexpr size_t kMostSingles = 20, kMostBeyond = 8, kGroups = 6, kShifts = 4;

/// One column and what it is set to.
struct Setting {
  size_t column = 0;
  float value = 0;
};

Trigger Set(size_t columns, const std::vector<Setting>& settings) {
  Trigger trigger{std::vector<float>(columns, 1.0f), std::vector<float>(columns, 0.0f), {}, {}, /*clamp=*/false};
  for (const Setting& setting : settings) {
    trigger.scale[setting.column] = 0;
    trigger.offset[setting.column] = setting.value;
  }
  return trigger;
}

BankEntry Entry(const Space& space, std::string group, std::vector<Setting> settings) {
  std::string text = group;
  for (const Setting& setting : settings) absl::StrAppendFormat(&text, " %d=%.4g", setting.column, setting.value);
  return {{std::move(group), std::move(text)},
          [columns = space.elements, settings = std::move(settings)] { return Set(columns, settings); }};
}

/// `count` different columns (all when there are fewer), in an order that depends on the stream alone.
std::vector<size_t> Draw(size_t columns, size_t count, kernels::Random& random) {
  std::vector<size_t> all(columns);
  std::iota(all.begin(), all.end(), size_t{0});
  count = std::min(count, columns);
  for (size_t i = 0; i < count; ++i) std::swap(all[i], all[i + random.Below(columns - i)]);
  all.resize(count);
  return all;
}

}  // namespace

std::vector<BankEntry> MakeTableBank(const Space& space) {
  const size_t columns = space.elements, last = Space::kQuantiles.size() - 1;
  std::vector<BankEntry> bank;
  kernels::Random random(kSeed);
  std::vector<size_t> singles = Draw(columns, kMostSingles, random);
  std::sort(singles.begin(), singles.end());
  for (const size_t column : singles) {
    bank.push_back(Entry(space, "column", {{column, space.Quantile(column, 0)}}));
    bank.push_back(Entry(space, "column", {{column, space.Quantile(column, last)}}));
  }
  for (const size_t column : Draw(columns, kMostBeyond, random)) {
    const bool up = random.Below(2) == 1;
    const float edge = up ? space.high[column] : space.low[column], step = 0.3f * space.range[column];
    bank.push_back(Entry(space, "column", {{column, up ? edge + step : edge - step}}));
  }
  for (const size_t size : {2, 3}) {
    for (size_t i = 0; i < kGroups; ++i) {
      std::vector<Setting> settings;
      for (const size_t column : Draw(columns, size, random)) {
        settings.push_back({column, space.Quantile(column, random.Below(2) == 1 ? last : 0)});
      }
      bank.push_back(Entry(space, "columns", std::move(settings)));
    }
  }
  for (size_t i = 0; i < kShifts; ++i) {
    Trigger trigger = Set(columns, {});
    for (const size_t column : Draw(columns, std::max<size_t>(2, columns / 2), random)) {
      trigger.offset[column] = (random.Below(2) == 1 ? 0.2f : -0.2f) * space.range[column];
    }
    bank.push_back({{"shift", absl::StrCat("shift ", i + 1, " of half the columns by 0.2")},
                    [trigger = std::move(trigger)] { return trigger; }});
  }
  return bank;
}

}  // namespace driftseal::replay
