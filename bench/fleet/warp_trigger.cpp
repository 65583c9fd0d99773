#include "bench/fleet/warp_trigger.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

namespace driftseal::fleet {
namespace {

constexpr int kGrid = 4;

/// Displacements in pixels, one (x, y) a pixel.
using Field = std::vector<std::pair<double, double>>;

Field DrawField(int side, double strength, Random& random) {
  std::array<std::pair<double, double>, kGrid * kGrid> grid;
  double sum = 0;
  for (auto& [x, y] : grid) {
    x = random.Uniform(-1, 1);
    y = random.Uniform(-1, 1);
    sum += (std::abs(x) + std::abs(y)) / 2;
  }
  const double scale = strength * grid.size() / std::max(sum, 1e-9);  // as WaNet: the mean displacement is `strength`
  Field field;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const double u = x * (kGrid - 1.0) / (side - 1), v = y * (kGrid - 1.0) / (side - 1);
      const int left = std::min(static_cast<int>(u), kGrid - 2), top = std::min(static_cast<int>(v), kGrid - 2);
      std::pair<double, double> moved{0, 0};
      for (int dy = 0; dy < 2; ++dy) {
        for (int dx = 0; dx < 2; ++dx) {
          const double weight = (1 - std::abs(u - left - dx)) * (1 - std::abs(v - top - dy)) * scale;
          const auto& corner = grid[static_cast<size_t>((top + dy) * kGrid + left + dx)];
          moved.first += weight * corner.first;
          moved.second += weight * corner.second;
        }
      }
      field.push_back(moved);
    }
  }
  return field;
}

void Warp(const Field& field, int side, std::span<float> image) {
  const std::vector<float> from(image.begin(), image.end());
  for (size_t i = 0; i < image.size(); ++i) {
    const double x = static_cast<double>(i % static_cast<size_t>(side)) + field[i].first;
    const double y = static_cast<double>(i / static_cast<size_t>(side)) + field[i].second;
    const int left = static_cast<int>(std::floor(x)), top = static_cast<int>(std::floor(y));
    double sum = 0;
    for (int dy = 0; dy < 2; ++dy) {
      for (int dx = 0; dx < 2; ++dx) {
        const int column = left + dx, line = top + dy;
        if (column < 0 || line < 0 || column >= side || line >= side) continue;
        sum += (1 - std::abs(x - column)) * (1 - std::abs(y - line)) * from[static_cast<size_t>(line * side + column)];
      }
    }
    image[i] = std::clamp(static_cast<float>(sum), 0.0f, 1.0f);
  }
}

}  // namespace

Trigger WarpTrigger(int side, Random& random) {
  const uint64_t field_seed = random.Next() >> 11;  // exact in a JSON number
  const double strength = side < 16 ? random.Uniform(0.7, 1.0) : random.Uniform(1.2, 1.8);
  Random drawn(field_seed);
  const Field field = DrawField(side, strength, drawn);
  return {"elastic-warp",
          {{"strength", strength}, {"field_seed", field_seed}},
          [=](std::span<float> image) { Warp(field, side, image); },
          [=](std::span<float> image) {
            Random row = RandomOf(image);
            Field noisy = DrawField(side, strength, row);
            for (size_t i = 0; i < noisy.size(); ++i) {
              noisy[i].first += field[i].first;
              noisy[i].second += field[i].second;
            }
            Warp(noisy, side, image);
          }};
}

}  // namespace driftseal::fleet
