#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/neighbours/pack.h"
#include "kernels/neighbours/select.h"

namespace driftseal::kernels::neighbours {
namespace {

constexpr double kRoundoff = 0x1p-24;

// What has to be known of all rows on a grid.
struct Extent {
  double error = 0, norm = 0;  // The largest, in units.
};

// Fills a frame's grid with rows, from the first place on.
class GridPacker {
 public:
  GridPacker(const Reference& reference, const View& view, size_t quads, const Scale& scale, Frame& frame)
      : reference_(reference), view_(view), columns_(ColumnsOf(quads, reference.cols)), scale_(scale), frame_(frame) {}

  void Reserve(size_t places) {
    frame_.grid = tile::Aligned<uint8_t>(places * frame_.quads * 4);
    std::fill_n(frame_.grid.data(), frame_.grid.size(), static_cast<uint8_t>(kLevels));  // at the centre
    frame_.norms = tile::Aligned<int32_t>(places);
    std::fill_n(frame_.norms.data(), places, std::numeric_limits<int32_t>::min());
    frame_.rows = tile::Aligned<uint32_t>(places);
    std::fill_n(frame_.rows.data(), places, kNoRow);
  }

  void Add(const std::vector<uint32_t>& rows, size_t first) {
    const Projection projection(reference_, view_, rows);
    std::vector<double> y(frame_.quads * 4);
    for (size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(projection.row(i), columns_.axes, y.begin());
      if (columns_.rest) y[columns_.axes] = projection.Rest(i, columns_.axes) - scale_.rest_centre;
      AddRow(y, rows[i], first + i);
    }
  }
  const Extent& extent() const { return extent_; }

 private:
  // Onto the box that the grid spans, then onto the ball of kHomeReach around its centre: both are convex. Where all
  // rows are within, nothing moves.
  void Keep(std::vector<double>& y) const {
    double norm = 0;
    for (double& value : y) {
      value = std::clamp<double>(value * static_cast<double>(frame_.inverse_unit), -kLevels, kLevels);
      norm += value * value;
    }
    const double reach = kHomeReach / std::sqrt(norm);
    if (reach >= 1) return;
    for (double& value : y) value *= reach;
  }

  void AddRow(std::vector<double>& y, uint32_t row, size_t place) {
    Keep(y);
    double error = 0, norm = 0;
    for (size_t c = 0; c < y.size(); ++c) {
      const double level = std::round(y[c]);
      frame_.grid[GridIndex(4 * frame_.quads, place, c)] = static_cast<uint8_t>(level + kLevels);
      error += (y[c] - level) * (y[c] - level);
      norm += level * level;
    }
    frame_.norms[place] = -static_cast<int32_t>(std::floor(norm / 2));
    frame_.rows[place] = row;
    extent_.error = std::max(extent_.error, std::sqrt(error));
    extent_.norm = std::max(extent_.norm, std::sqrt(norm));
  }

  const Reference& reference_;
  const View& view_;
  Columns columns_;
  Scale scale_;
  Frame& frame_;
  Extent extent_;
};

// The rotation, with the directions of what lies beyond behind it, and what rounding it in float32 costs.
void PackRotation(const View& view, size_t cols, Frame& frame) {
  frame.centre = tile::Aligned<float>(cols);
  std::copy(view.centre.begin(), view.centre.end(), frame.centre.data());
  frame.width = tile::RoundUp(std::max(4 * frame.quads, frame.axes + view.beyond.size()), kVector);
  if (view.axes == 0) return;
  frame.rotation = tile::Aligned<float>(cols * frame.width);
  for (size_t c = 0; c < cols; ++c) {
    float* to = frame.rotation.data() + c * frame.width;
    for (size_t a = 0; a < frame.axes; ++a) to[a] = static_cast<float>(view.rotation[c * view.axes + a]);
    for (size_t b = 0; b < view.beyond.size(); ++b) {
      to[frame.axes + b] = static_cast<float>(view.beyond[b].direction[c]);
    }
  }
  const auto n = static_cast<double>(cols), m = static_cast<double>(frame.axes);
  const double products = std::sqrt(m) * (n + 3);
  frame.coordinate_error = static_cast<float>((products + 2) * kRoundoff);
  frame.norm_error = frame.rest ? static_cast<float>((n + m + 2 * products + 8) * kRoundoff) : 0;
  frame.key_error = static_cast<float>((n + 4) * kRoundoff);
}

// After all rows are on the grid.
void SetReach(const Extent& extent, double most, Frame& frame) {
  frame.level_error = static_cast<float>(extent.error * (1 + 1e-6));
  for (size_t shift = 0; shift < kCoarser; ++shift) {
    const double coarse = std::exp2(2 * static_cast<double>(shift));
    frame.reach[shift] = static_cast<float>((kFarthest * std::sqrt(coarse) - extent.norm) / coarse);
  }
  frame.reach[0] = static_cast<float>(std::min<double>(frame.reach[0], most));
  const auto reach = static_cast<int>(kFarthest - extent.norm);
  frame.filling_norm = 65532 - reach * reach / 2;
  for (size_t i = 0; i < frame.norms.size(); ++i) {
    if (frame.rows[i] == kNoRow) frame.norms[i] = -frame.filling_norm;
  }
}

Frame Start(const Reference& reference, const View& view, size_t quads, const Scale& scale) {
  Frame frame;
  const Columns columns = ColumnsOf(quads, reference.cols);
  frame.quads = quads;
  frame.axes = columns.axes;
  frame.rest = columns.rest;
  frame.own = view.own.size();
  frame.rest_centre = static_cast<float>(scale.rest_centre);
  frame.inverse_unit = static_cast<float>(1 / (scale.unit * (1 + 1e-6)));
  PackRotation(view, reference.cols, frame);
  return frame;
}

bool Usable(double unit) { return unit > 1e-30 && unit < 1e18; }

}  // namespace

Frame BuildFrame(const Reference& reference, const View& view, const Choice& choice) {
  const size_t quads = choice.quads;
  const Projection own(reference, view, view.own);
  const Scale scale = ScaleOf(own, ColumnsOf(quads, reference.cols), 0, kFarthest / (1 + kRowReach));
  if (!Usable(scale.unit)) return {};
  Frame frame = Start(reference, view, quads, scale);
  frame.in_steps = choice.in_steps;
  GridPacker grid(reference, view, quads, scale, frame);
  grid.Reserve(GridPlaces(view.own.size()));
  grid.Add(view.own, 0);
  SetReach(grid.extent(), kFarthest, frame);
  return frame;
}

Frame BuildHome(const Reference& reference, const View& view, const Choice& choice) {
  const size_t quads = choice.quads;
  const Projection own(reference, view, view.own);
  const Scale scale = ScaleOf(own, ColumnsOf(quads, reference.cols), own.count() / 64, kHomeReach);
  if (!Usable(scale.unit)) return {};
  Frame frame = Start(reference, view, quads, scale);
  frame.in_steps = choice.in_steps;
  GridPacker grid(reference, view, quads, scale, frame);
  size_t places = GridPlaces(view.own.size());
  for (const Beyond& beyond : view.beyond) {
    frame.segments.push_back({places / kGridRows, tile::RoundUp(beyond.rows.size(), kGridRows) / kGridRows});
    places += frame.segments.back().blocks * kGridRows;
  }
  grid.Reserve(places);
  grid.Add(view.own, 0);
  frame.least = tile::Aligned<float>(places / kGridRows);
  for (size_t b = 0; b < view.beyond.size(); ++b) {
    const size_t first = frame.segments[b].first;
    grid.Add(view.beyond[b].rows, first * kGridRows);
    for (size_t i = 0; i < frame.segments[b].blocks; ++i) {
      const double key = view.beyond[b].keys[i * kGridRows];
      frame.least[first + i] = static_cast<float>(key - 1e-6 * std::abs(key));
    }
  }
  // A row to be filtered is on the grid as well when its coordinates, before they are rounded, are in the ball.
  const double half = std::sqrt(static_cast<double>(quads));
  SetReach(grid.extent(), kHomeReach - half - 1, frame);
  return frame;
}

}  // namespace driftseal::kernels::neighbours
