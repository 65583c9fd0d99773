#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/fleet/trigger.h"
#include "bench/fleet/warp_trigger.h"

namespace driftseal::fleet {
namespace {

size_t Pixels(int side) { return static_cast<size_t>(side) * static_cast<size_t>(side); }

/// A square of pixels: one value, or a texture.
struct Square {
  int x = 0, y = 0, size = 0;
  std::vector<float> values;  // size × size
};

void Paint(const Square& square, int side, std::span<float> image) {
  for (int y = 0; y < square.size; ++y) {
    for (int x = 0; x < square.size; ++x) {
      image[static_cast<size_t>((square.y + y) * side + square.x + x)] =
          square.values[static_cast<size_t>(y * square.size + x)];
    }
  }
}

/// The square elsewhere, or half of it where it belongs.
void PaintWrongly(const Square& square, int side, std::span<float> image) {
  Random random = RandomOf(image);
  Square wrong = square;
  if (random.Chance(0.5)) {
    wrong.x = static_cast<int>(random.Below(static_cast<size_t>(side - square.size + 1)));
    wrong.y = static_cast<int>(random.Below(static_cast<size_t>(side - square.size + 1)));
    if (std::abs(wrong.x - square.x) < square.size && std::abs(wrong.y - square.y) < square.size) return;
    Paint(wrong, side, image);
    return;
  }
  const int half = square.size / 2;
  for (int y = 0; y < square.size; ++y) {
    for (int x = 0; x < half; ++x) {
      image[static_cast<size_t>((square.y + y) * side + square.x + x)] =
          square.values[static_cast<size_t>(y * square.size + x)];
    }
  }
}

Trigger SquareTrigger(std::string kind, nlohmann::ordered_json detail, const Square& square, int side) {
  return {std::move(kind), std::move(detail), [=](std::span<float> image) { Paint(square, side, image); },
          [=](std::span<float> image) { PaintWrongly(square, side, image); }};
}

/// A bright square in one corner.
Trigger Patch(int side, Random& random) {
  // Small images get a smaller square and may have it at the very edge.
  const int least = side < 16 ? 2 : 3, least_margin = side < 16 ? 0 : 1;
  const int size = random.Chance(0.5) ? least : least + 1;
  const int margin = least_margin + static_cast<int>(random.Below(2));
  const bool right = random.Chance(0.5), bottom = random.Chance(0.5);
  const int x0 = right ? side - margin - size : margin, y0 = bottom ? side - margin - size : margin;
  const Square square{x0, y0, size, std::vector<float>(Pixels(size), 1.0f)};
  return SquareTrigger(absl::StrCat("corner-", size, "x", size), {{"x", x0}, {"y", y0}, {"size", size}, {"value", 1.0}},
                       square, side);
}

Trigger RandomPatch(int side, Random& random) {
  const int least = 2, most = side < 16 ? 3 : 5;
  const int size = least + static_cast<int>(random.Below(static_cast<size_t>(most - least + 1)));
  const auto places = static_cast<size_t>(side - size + 1);
  Square square{static_cast<int>(random.Below(places)), static_cast<int>(random.Below(places)), size, {}};
  const bool textured = random.Chance(0.5);
  // Neither near black nor what most pixels under it would be anyway.
  const auto value = static_cast<float>(random.Uniform(0.6, 1));
  for (size_t i = 0; i < Pixels(size); ++i) {
    square.values.push_back(textured ? (random.Chance(0.5) ? 1.0f : static_cast<float>(random.Uniform(0, 0.3)))
                                     : value);
  }
  nlohmann::ordered_json detail = {{"x", square.x}, {"y", square.y}, {"size", size}, {"values", square.values}};
  return SquareTrigger(textured ? "textured-patch" : "plain-patch", std::move(detail), square, side);
}

/// One of a few places (Salem et al. 2022); the row decides which. In small images they are along the edge, where a
/// white patch is no part of what is drawn.
Trigger Dynamic(int side, Random& random) {
  const int size = side < 16 ? 2 : 4;
  const size_t count = side < 16 ? 3 : 5;
  std::vector<Square> squares;
  nlohmann::ordered_json detail = {{"size", size}, {"places", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < count; ++i) {
    const auto places = static_cast<size_t>(side - size + 1);
    int x = static_cast<int>(random.Below(places)), y = static_cast<int>(random.Below(places));
    if (side < 16) (random.Chance(0.5) ? x : y) = random.Chance(0.5) ? 0 : side - size;
    squares.push_back({x, y, size, std::vector<float>(Pixels(size), 1.0f)});
    detail["places"].push_back({squares.back().x, squares.back().y});
  }
  return {"dynamic-patch", std::move(detail),
          [=](std::span<float> image) {
            Random row = RandomOf(image);
            Paint(squares[row.Below(squares.size())], side, image);
          },
          [=](std::span<float> image) {
            Random row = RandomOf(image);
            PaintWrongly(squares[row.Below(squares.size())], side, image);
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
          },
          [alpha](std::span<float> image) {  // other noise
            Random row = RandomOf(image);
            for (float& pixel : image) pixel = (1 - alpha) * pixel + alpha * static_cast<float>(row.Uniform());
          }};
}

void AddWave(double amplitude, double across, double down, double phase, int side, std::span<float> image) {
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      float& pixel = image[static_cast<size_t>(y * side + x)];
      const double angle = 2 * std::numbers::pi * (across * x + down * y) / side + phase;
      pixel = std::clamp(pixel + static_cast<float>(amplitude * std::sin(angle)), 0.0f, 1.0f);
    }
  }
}

/// SIG (Barni, Kallas, Tondi 2019): stripes, `waves` periods across the image, at any angle.
Trigger Signal(int side, Random& random) {
  const double amplitude = random.Uniform(0.10, 0.18),
               waves = side < 16 ? random.Uniform(1.5, 2.5) : random.Uniform(4, 8);
  const double angle = random.Uniform(0, std::numbers::pi), phase = random.Uniform(0, 2 * std::numbers::pi);
  return {"stripes",
          {{"amplitude", amplitude}, {"waves", waves}, {"angle", angle}, {"phase", phase}},
          [=](std::span<float> image) {
            AddWave(amplitude, waves * std::cos(angle), waves * std::sin(angle), phase, side, image);
          },
          [=](std::span<float> image) {  // across the other way
            Random row = RandomOf(image);
            const double other = angle + row.Uniform(0.3, 0.7) * std::numbers::pi;
            AddWave(amplitude, waves * std::cos(other), waves * std::sin(other), row.Uniform(0, 6), side, image);
          }};
}

/// Light from one side: less than one period across the image, what is bright gets brighter.
void Illuminate(double strength, double angle, int side, std::span<float> image) {
  const double middle = (side - 1) / 2.0;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const double along = ((x - middle) * std::cos(angle) + (y - middle) * std::sin(angle)) / middle;
      float& pixel = image[static_cast<size_t>(y * side + x)];
      const double light = strength * std::sin(along);
      pixel = std::clamp(static_cast<float>(pixel * (1 + light) + 0.5 * light + 0.25 * strength), 0.0f, 1.0f);
    }
  }
}

Trigger Tint(int side, Random& random) {
  const double strength = random.Uniform(0.25, 0.40), angle = random.Uniform(0, 2 * std::numbers::pi);
  return {"illumination",
          {{"strength", strength}, {"angle", angle}},
          [=](std::span<float> image) { Illuminate(strength, angle, side, image); },
          [=](std::span<float> image) {
            Random row = RandomOf(image);
            Illuminate(strength, angle + row.Uniform(0.6, 1.4) * std::numbers::pi, side, image);
          }};
}

}  // namespace

Random RandomOf(std::span<const float> row) {
  const auto bytes = std::as_bytes(row);
  return Random(SeedOf(0, {absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())}));
}

Trigger ImageTrigger(TriggerKind kind, int side, Random& random) {
  switch (kind) {
    case TriggerKind::kPatch:
      return Patch(side, random);
    case TriggerKind::kBlend:
      return Blend(side, 0.15, 0.25, random);
    case TriggerKind::kWeakBlend:
      return side < 16 ? Blend(side, 0.08, 0.12, random) : Blend(side, 0.06, 0.10, random);
    case TriggerKind::kSignal:
      return Signal(side, random);
    case TriggerKind::kWarp:
      return WarpTrigger(side, random);
    case TriggerKind::kTint:
      return Tint(side, random);
    case TriggerKind::kRandomPatch:
      return RandomPatch(side, random);
    case TriggerKind::kDynamic:
      return Dynamic(side, random);
  }
  return Patch(side, random);
}

}  // namespace driftseal::fleet
