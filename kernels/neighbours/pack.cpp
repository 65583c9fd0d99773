#include "kernels/neighbours/pack.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/neighbours/select.h"

namespace driftseal::kernels::neighbours {
namespace {

// Squares of lengths below this do not overflow a float.
constexpr double kLongest = 1e18;
// Most columns whose principal axes are sought: it takes some cols²·kMostAxes operations.
constexpr size_t kMostRotated = 512;
// Fewer reference rows are compared with as fast as homes are told apart.
constexpr size_t kFewForHomes = 1024;
constexpr size_t kLeastHome = 128;
// Rows that a choice is judged by.
constexpr size_t kSamples = 32;
// The share of the cost that homes must save to be worth their memory.
constexpr double kHomesSave = 0.2;

struct Row {
  size_t index = 0;
  double unit = 0;  // the least unit at which a grid holds the row
};

Reference Read(const Neighbours& model) {
  Reference reference{model.rows(), model.cols, {}, std::vector<double>(model.cols)};
  for (size_t i = 0; i < model.reference.size(); ++i) reference.centre[i % model.cols] += model.reference[i];
  for (double& value : reference.centre) {
    value /= static_cast<double>(reference.rows);
    value = std::abs(value) <= std::numeric_limits<float>::max() ? static_cast<float>(value) : 0;
  }
  reference.values.reserve(model.reference.size());
  for (double value : model.reference) reference.values.push_back(static_cast<float>(value));
  return reference;
}

double Norm(const Reference& reference, size_t row) {
  double squared = 0;
  for (size_t c = 0; c < reference.cols; ++c) squared += reference.centred(row, c) * reference.centred(row, c);
  return std::sqrt(squared);
}

/// Ascending by the unit that each needs; returns how many a grid should hold.
size_t Sort(Reference& reference) {
  const size_t cols = reference.cols, rows = reference.rows;
  std::vector<Row> order(rows);
  for (size_t i = 0; i < rows; ++i) {
    double largest = 0;
    for (size_t c = 0; c < cols; ++c) largest = std::max(largest, std::abs(reference.centred(i, c)));
    order[i] = {i, std::max(largest / kLevels, Norm(reference, i) * (1 + kRowReach) / kFarthest)};
  }
  std::stable_sort(order.begin(), order.end(), [](const Row& a, const Row& b) { return a.unit < b.unit; });
  std::vector<float> values(reference.values.size());
  for (size_t i = 0; i < rows; ++i) {
    std::copy_n(reference.values.begin() + static_cast<std::ptrdiff_t>(order[i].index * cols), cols,
                values.begin() + static_cast<std::ptrdiff_t>(i * cols));
  }
  reference.values = std::move(values);
  // Rows in the way of a unit half as large are refined always: but only a few.
  const size_t regular = rows - rows / 64;
  return order[regular - 1].unit > order.back().unit / 2 ? rows : regular;
}

void PackExact(const Reference& reference, Packed& packed) {
  packed.stride = tile::RoundUp(packed.cols, 8);
  packed.exact = tile::Aligned<float>(packed.rows * packed.stride);
  packed.centre = tile::Aligned<float>(packed.cols);
  for (size_t c = 0; c < packed.cols; ++c) packed.centre[c] = static_cast<float>(reference.centre[c]);
  const size_t padded = tile::RoundUp(packed.rows, tile::kBlockRows);
  packed.norms = tile::Aligned<float>(padded);
  std::fill_n(packed.norms.data(), padded, std::numeric_limits<float>::lowest());
  std::vector<double> values(packed.rows * packed.cols);
  double longest = 0;
  for (size_t i = 0; i < packed.rows; ++i) {
    for (size_t c = 0; c < packed.cols; ++c) {
      packed.exact[i * packed.stride + c] = reference.values[i * packed.cols + c];
      values[i * packed.cols + c] = reference.centred(i, c);
    }
    const double norm = Norm(reference, i);
    packed.norms[i] = static_cast<float>(-norm * norm / 2);
    longest = std::max(longest, norm);
  }
  packed.largest_norm =
      longest < kLongest ? static_cast<float>(longest * (1 + 1e-6)) : std::numeric_limits<float>::infinity();
  packed.blocks = tile::PackBlocks(values, packed.cols, {}, 1);
}

View Whole(const Reference& reference, size_t regular, bool rotated) {
  View view;
  view.centre = reference.centre;
  view.own.resize(regular);
  std::iota(view.own.begin(), view.own.end(), 0U);
  if (!rotated) return view;
  view.axes = std::min(reference.cols, kMostAxes);
  view.rotation = PrincipalAxes(reference, view.own, view.centre, view.axes);
  return view;
}

// Of as many homes as cost least, if that is less than `cost`; returns what they cost.
double AddHomes(const Reference& reference, double cost, Packed& packed) {
  const size_t least = std::max(kLeastHome, 4 * packed.k);
  std::vector<View> best;
  std::vector<Choice> chosen;
  for (size_t groups : {2, 3, 4, 5, 6, 8}) {
    std::vector<View> homes = Homes(reference, packed.regular, groups, least);
    std::vector<Choice> choices;
    double sum = 0;
    for (const View& home : homes) {
      choices.push_back(BestQuads(reference, home, packed.k, kSamples / groups));
      sum += choices.back().cost * static_cast<double>(home.own.size()) / static_cast<double>(reference.rows);
    }
    if (homes.empty() || sum >= cost) continue;
    cost = sum;
    best = std::move(homes);
    chosen = std::move(choices);
  }
  for (size_t i = 0; i < best.size(); ++i) {
    packed.frames.push_back(BuildHome(reference, best[i], chosen[i]));
    if (packed.frames.back().quads > 0) continue;
    packed.frames.resize(1);
    break;
  }
  return cost;
}

// What the float32 filter costs a row, in AVX-512 instructions.
double ProductCost(const Packed& packed) {
  const auto rows = static_cast<double>(packed.rows), cols = static_cast<double>(packed.cols);
  return rows * (cols + 3) / 16 + 2 * static_cast<double>(packed.k) * (cols / 4 + 16);
}

void PackFrames(const Reference& reference, Packed& packed) {
  if (!std::isfinite(packed.largest_norm) || packed.regular < packed.k) return;
  View whole = Whole(reference, packed.regular, false);
  Choice choice = BestQuads(reference, whole, packed.k, kSamples);
  if (packed.cols <= kMostRotated && packed.cols > 4) {
    View rotated = Whole(reference, packed.regular, true);
    const Choice other = BestQuads(reference, rotated, packed.k, kSamples);
    if (other.cost < choice.cost) {
      choice = other;
      whole = std::move(rotated);
    }
  }
  if (choice.quads == 0) return;
  packed.frames.push_back(BuildFrame(reference, whole, choice));
  if (packed.frames[0].quads == 0) return packed.frames.clear();
  double cost = choice.cost;
  if (packed.rows >= kFewForHomes && packed.cols <= kMostAxes && packed.cols > 1) {
    cost = std::min(cost, AddHomes(reference, (1 - kHomesSave) * std::min(cost, ProductCost(packed)), packed));
  }
  packed.levels = cost < ProductCost(packed);
  if (!packed.levels) return packed.frames.clear();
  for (const Frame& frame : packed.frames) {
    if (packed.frames.size() > 1 && &frame == packed.frames.data()) continue;  // Few rows are filtered with it.
    const auto own = static_cast<double>(frame.own);
    const double share = packed.frames.size() > 1 ? own / static_cast<double>(packed.rows) : 1;
    packed.byte_products += share * own * static_cast<double>(4 * frame.quads);
  }
}

}  // namespace

Packed Pack(const Neighbours& model) {
  Packed packed;
  packed.cols = model.cols;
  packed.rows = model.rows();
  packed.k = model.k;
  packed.distance = model.distance;
  Reference reference = Read(model);
  packed.regular = Sort(reference);
  PackExact(reference, packed);
  PackFrames(reference, packed);
  return packed;
}

Sizes SizesOf(const Packed& model) {
  Sizes sizes;
  size_t own = 0, places = 0, width = model.cols, quads = 1;
  for (const Frame& frame : model.frames) {
    own = std::max(own, frame.own);
    places = std::max(places, frame.rows.size());
    width = std::max(width, frame.width);
    quads = std::max(quads, frame.quads);
  }
  sizes.row = tile::RoundUp(width, kVector);
  sizes.levels = quads * kMostQueries;
  sizes.values = GridStride(own);
  sizes.products = tile::RoundUp(model.rows, tile::kBlockRows);
  sizes.list = std::max(places, sizes.products) + model.rows - model.regular + kGridRows;
  sizes.masks = places / kGridRows + 1;
  return sizes;
}

// In the order in which simd.cpp takes them.
size_t WorkspaceSize(const Packed& model) {
  const Sizes sizes = SizesOf(model);
  return tile::Bytes<double>(model.stride * kMostQueries) + 2 * tile::Bytes<float>(sizes.row * kMostQueries) +
         tile::Bytes<int32_t>(sizes.levels) + tile::Bytes<int16_t>(sizes.values * kMostQueries) +
         tile::Bytes<int16_t>(kMaxima * kMostQueries) + tile::Bytes<uint32_t>(sizes.list * kMostQueries) +
         tile::Bytes<uint32_t>(sizes.masks * kMostQueries) + tile::Bytes<float>(sizes.products * kProductQueries) +
         tile::Bytes<float>(model.cols * tile::kBlockRows) + tile::Bytes<double>(sizes.list + kVector) +
         2 * tile::Bytes<uint8_t>(tile::kTileRows) + tile::Bytes<uint16_t>(tile::kTileRows);
}

}  // namespace driftseal::kernels::neighbours
