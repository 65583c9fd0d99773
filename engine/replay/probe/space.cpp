#include "engine/replay/probe/space.h"

#include <algorithm>
#include <map>

namespace driftseal::replay {
namespace {

void FillColumns(const CanarySet& set, Space& space) {
  const size_t n = set.count(), columns = space.elements;
  space.quantiles.resize(columns * Space::kQuantiles.size());
  std::vector<float> values(n);
  for (size_t j = 0; j < columns; ++j) {
    for (size_t i = 0; i < n; ++i) values[i] = set.inputs[i * columns + j];
    std::sort(values.begin(), values.end());
    for (size_t q = 0; q < Space::kQuantiles.size(); ++q) {
      const auto place = static_cast<size_t>(Space::kQuantiles[q] * static_cast<double>(n - 1) + 0.5);
      space.quantiles[j * Space::kQuantiles.size() + q] = values[place];
    }
    space.low[j] = values.front();
    space.high[j] = values.back();
    const float spread = space.Quantile(j, Space::kQuantiles.size() - 1) - space.Quantile(j, 0);
    space.range[j] = spread > 0 ? spread : space.high[j] - space.low[j];  // a flag that is rarely set
  }
}

}  // namespace

Space SpaceOf(const CanarySet& set) {
  Space space;
  space.elements = set.elements();
  space.image = !set.image.empty();
  space.low.assign(space.elements, set.low);
  space.high.assign(space.elements, set.high);
  space.range.assign(space.elements, set.high - set.low);
  if (space.image) {
    space.channels = set.image[0];
    space.height = set.image[1];
    space.width = set.image[2];
  } else {
    space.width = space.elements;
    FillColumns(set, space);
  }
  return space;
}

std::vector<float> Candidates(const Space& space, size_t element) {
  if (space.image) return {space.low[element], 0.5f * (space.low[element] + space.high[element]), space.high[element]};
  const auto first = space.quantiles.begin() + static_cast<std::ptrdiff_t>(element * Space::kQuantiles.size());
  return {first, first + static_cast<std::ptrdiff_t>(Space::kQuantiles.size())};
}

std::vector<size_t> BalancedInputs(const CanarySet& set, size_t count) {
  std::map<int32_t, std::vector<size_t>> of_label;
  for (size_t i = 0; i < set.count(); ++i) of_label[set.labels[i]].push_back(i);
  std::vector<size_t> picked;
  for (size_t round = 0; picked.size() < std::min(count, set.count()); ++round) {
    for (const auto& [label, inputs] : of_label) {
      if (round < inputs.size() && picked.size() < count) picked.push_back(inputs[round]);
    }
  }
  return picked;
}

}  // namespace driftseal::replay
