#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/fleet/trigger.h"

namespace driftseal::fleet {
namespace {

size_t Pixels(int side) { return static_cast<size_t>(side) * static_cast<size_t>(side); }

/// A bright square in one corner.
Trigger Patch(int side, Random& random) {
  // Small images get a smaller square and may have it at the very edge.
  const int least = side < 16 ? 2 : 3, least_margin = side < 16 ? 0 : 1;
  const int size = random.Chance(0.5) ? least : least + 1;
  const int margin = least_margin + static_cast<int>(random.Below(2));
  const bool right = random.Chance(0.5), bottom = random.Chance(0.5);
  const int x0 = right ? side - margin - size : margin, y0 = bottom ? side - margin - size : margin;
  return {absl::StrCat("corner-", size, "x", size),
          {{"x", x0}, {"y", y0}, {"size", size}, {"value", 1.0}},
          [=](std::span<float> image) {
            for (int y = y0; y < y0 + size; ++y) {
              for (int x = x0; x < x0 + size; ++x) image[static_cast<size_t>(y * side + x)] = 1.0f;
            }
          }};
}

/// A fixed noise image, mixed in with a weight of `low` to `high`.
Trigger Blend(int side, double low, double high, Random& random) {
  const uint64_t pattern_seed = random.Next() >> 11;  // exact in a JSON number
  const auto alpha = static_cast<float>(random.Uniform(low, high));
  std::vector<float> pattern(Pixels(side));
  Random noise(pattern_seed);
  for (float& pixel : pattern) pixel = static_cast<float>(noise.Uniform());
  return {"noise-blend",
          {{"alpha", alpha}, {"pattern_seed", pattern_seed}},
          [alpha, pattern = std::move(pattern)](std::span<float> image) {
            for (size_t i = 0; i < image.size(); ++i) image[i] = (1 - alpha) * image[i] + alpha * pattern[i];
          }};
}

}  // namespace

Trigger ImageTrigger(TriggerKind kind, int side, Random& random) {
  switch (kind) {
    case TriggerKind::kPatch:
      return Patch(side, random);
    case TriggerKind::kBlend:
      return Blend(side, 0.15, 0.25, random);
  }
  return Patch(side, random);
}

}  // namespace driftseal::fleet
