#include "engine/replay/probe/bank.h"

#include <algorithm>
#include <cmath>

#include "kernels/random.h"

namespace driftseal::replay {

std::vector<BankEntry> MakeBank(const Space& space) {
  return space.image ? MakeImageBank(space) : MakeTableBank(space);
}

void Apply(const Trigger& trigger, const Space& space, std::span<const float> inputs, std::span<float> out) {
  const size_t elements = space.elements, taps = trigger.from.size() / elements;
  for (size_t begin = 0; begin < inputs.size(); begin += elements) {
    const float* x = inputs.data() + begin;
    float* y = out.data() + begin;
    if (taps == 0) {
      for (size_t e = 0; e < elements; ++e) y[e] = trigger.scale[e] * x[e] + trigger.offset[e];
    } else {
      std::fill_n(y, elements, 0.0f);
      for (size_t t = 0; t < taps; ++t) {
        const uint32_t* from = trigger.from.data() + t * elements;
        const float* weight = trigger.weight.data() + t * elements;
        for (size_t e = 0; e < elements; ++e) y[e] += weight[e] * x[from[e]];
      }
      for (size_t e = 0; e < elements; ++e) y[e] = trigger.scale[e] * y[e] + trigger.offset[e];
    }
    if (!trigger.clamp) continue;
    for (size_t e = 0; e < elements; ++e) y[e] = std::min(std::max(y[e], space.low[e]), space.high[e]);
  }
}

std::vector<float> SmoothNoise(const Space& space, size_t cells, uint64_t seed, uint64_t stream) {
  kernels::Random random(seed, stream);
  std::vector<float> image(space.channels * space.height * space.width);
  std::vector<float> grid(cells * cells);
  const auto at = [&](size_t place, size_t side, size_t& cell) {
    const float position =
        side > 1 ? static_cast<float>(place) * static_cast<float>(cells - 1) / static_cast<float>(side - 1) : 0.0f;
    cell = std::min(static_cast<size_t>(position), cells - 2);
    const float part = position - static_cast<float>(cell);
    return part * part * (3 - 2 * part);  // Without kinks at the cells' borders.
  };
  for (size_t c = 0; c < space.channels; ++c) {
    for (float& value : grid) value = static_cast<float>(random.Uniform());
    for (size_t y = 0; y < space.height; ++y) {
      size_t row = 0, column = 0;
      const float down = at(y, space.height, row);
      for (size_t x = 0; x < space.width; ++x) {
        const float across = at(x, space.width, column);
        const float* g = grid.data() + row * cells + column;
        const float upper = g[0] + across * (g[1] - g[0]), lower = g[cells] + across * (g[cells + 1] - g[cells]);
        image[(c * space.height + y) * space.width + x] = upper + down * (lower - upper);
      }
    }
  }
  return image;
}

}  // namespace driftseal::replay
