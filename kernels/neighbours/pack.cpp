#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/neighbours/neighbours.h"
#include "kernels/neighbours/select.h"

namespace driftseal::kernels::neighbours {
namespace {

// ‖x° − s°‖²/2 in 16 bits: x° and s° are at most 362 units apart.
constexpr double kFarthest = 361;
// A row may be as long as the longest reference row and a quarter more before the filter in bytes gives up on it.
constexpr double kRowReach = 1.25;
// Squares of lengths below this do not overflow a float.
constexpr double kLongest = 1e18;

struct Row {
  size_t index = 0;
  double unit = 0;  // the least unit at which the grid holds the row
};

// The reference rows as float32, centred.
class Reference {
 public:
  explicit Reference(const Neighbours& model) : cols_(model.cols), rows_(model.rows()), centre_(model.cols) {
    for (size_t i = 0; i < model.reference.size(); ++i) centre_[i % cols_] += model.reference[i];
    for (double& value : centre_) {
      value /= static_cast<double>(rows_);
      value = std::abs(value) <= std::numeric_limits<float>::max() ? static_cast<float>(value) : 0;
    }
    for (double value : model.reference) values_.push_back(static_cast<float>(value));
  }
  size_t cols() const { return cols_; }
  size_t rows() const { return rows_; }
  const std::vector<double>& centre() const { return centre_; }
  float value(size_t row, size_t col) const { return values_[row * cols_ + col]; }
  double centred(size_t row, size_t col) const { return static_cast<double>(value(row, col)) - centre_[col]; }
  double norm(size_t row) const {
    double squared = 0;
    for (size_t c = 0; c < cols_; ++c) squared += centred(row, c) * centred(row, c);
    return std::sqrt(squared);
  }

 private:
  size_t cols_, rows_;
  std::vector<double> centre_;
  std::vector<float> values_;
};

/// Ascending by the unit that each needs.
std::vector<Row> Order(const Reference& reference) {
  std::vector<Row> order(reference.rows());
  for (size_t i = 0; i < order.size(); ++i) {
    double largest = 0;
    for (size_t c = 0; c < reference.cols(); ++c) largest = std::max(largest, std::abs(reference.centred(i, c)));
    order[i] = {i, std::max(largest / kLevels, reference.norm(i) * (1 + kRowReach) / kFarthest)};
  }
  std::stable_sort(order.begin(), order.end(), [](const Row& a, const Row& b) { return a.unit < b.unit; });
  return order;
}

void PackExact(const Reference& reference, const std::vector<Row>& order, Packed& packed) {
  packed.stride = tile::RoundUp(packed.cols, 8);
  packed.exact = tile::Aligned<float>(packed.rows * packed.stride);
  const size_t padded = tile::RoundUp(packed.rows, tile::kBlockRows);
  packed.norms = tile::Aligned<float>(padded);
  std::fill_n(packed.norms.data(), padded, std::numeric_limits<float>::lowest());
  std::vector<double> values(packed.rows * packed.cols);
  double longest = 0;
  for (size_t i = 0; i < packed.rows; ++i) {
    for (size_t c = 0; c < packed.cols; ++c) {
      packed.exact[i * packed.stride + c] = reference.value(order[i].index, c);
      values[i * packed.cols + c] = reference.centred(order[i].index, c);
    }
    const double norm = reference.norm(order[i].index);
    packed.norms[i] = static_cast<float>(-norm * norm / 2);
    longest = std::max(longest, norm);
  }
  packed.largest_norm =
      longest < kLongest ? static_cast<float>(longest * (1 + 1e-6)) : std::numeric_limits<float>::infinity();
  packed.blocks = tile::PackBlocks(values, packed.cols, {}, 1);
}

// Row i of the order on the grid; returns its distance from the grid, in units.
double PackLevels(const Reference& reference, const Row& row, size_t i, double inverse, Packed& packed) {
  double error = 0, norm = 0;
  for (size_t c = 0; c < packed.cols; ++c) {
    const double exact = reference.centred(row.index, c) * inverse;
    const double level = std::clamp<double>(std::round(exact), -kLevels, kLevels);
    packed.grid[GridIndex(packed.cols, i, c)] = static_cast<uint8_t>(level + kLevels);
    error += (exact - level) * (exact - level);
    norm += level * level;
  }
  packed.grid_norms[i] = -static_cast<int32_t>(std::floor(norm / 2)) & 0xFFFF;
  packed.largest_row_level = std::min(packed.largest_row_level, static_cast<float>(kFarthest - std::sqrt(norm)));
  return std::sqrt(error);
}

// At the centre, but for its norm.
void PackFilling(size_t i, Packed& packed) {
  for (size_t c = 0; c < packed.cols; ++c) {
    packed.grid[GridIndex(packed.cols, i, c)] = kLevels;
  }
}

void PackGrid(const Reference& reference, const std::vector<Row>& order, Packed& packed) {
  // Rows in the way of a unit half as large are refined always: but only a few.
  packed.regular = packed.rows - packed.rows / 64;
  double unit = order[packed.regular - 1].unit;
  if (unit > order.back().unit / 2) {
    packed.regular = packed.rows;
    unit = order.back().unit;
  }
  if (!(unit > 1e-30 && unit < 1e18)) return;
  packed.inverse_unit = static_cast<float>(1 / (unit * (1 + 1e-6)));  // rounded, it must not reach beyond kLevels
  packed.grid = tile::Aligned<uint8_t>(GridPlaces(packed.regular) * ((packed.cols + 3) / 4) * 4);
  packed.grid_norms = tile::Aligned<int32_t>(GridPlaces(packed.regular));
  packed.largest_row_level = kFarthest;
  double error = 0;
  for (size_t i = 0; i < packed.regular; ++i) {
    error = std::max(error, PackLevels(reference, order[i], i, packed.inverse_unit, packed));
  }
  const auto reach = static_cast<double>(packed.largest_row_level);
  packed.filling_norm = 65532 - static_cast<int>(reach * reach / 2);
  for (size_t i = packed.regular; i < packed.grid_norms.size(); ++i) {
    packed.grid_norms[i] = -packed.filling_norm & 0xFFFF;
    PackFilling(i, packed);
  }
  packed.level_error = static_cast<float>(error * (1 + 1e-6));
  packed.levels = packed.regular >= packed.k;
}

// Squared distances on the grid from reference row `from` to the regular ones.
std::vector<double> GridSquares(const Packed& packed, size_t from) {
  const auto at = [&](size_t i, size_t c) -> int { return packed.grid[GridIndex(packed.cols, i, c)]; };
  std::vector<double> squares(packed.regular);
  for (size_t i = 0; i < packed.regular; ++i) {
    for (size_t c = 0; c < packed.cols; ++c) {
      const int difference = at(from, c) - at(i, c);
      squares[i] += difference * difference;
    }
  }
  return squares;
}

// Whether bytes leave so few rows to refine that they beat the float32 filter, judged by the reference rows themselves:
// they save 3/128 of an AVX-512 instruction a value, a row to refine costs cols/4 + 16 instructions.
bool WorthIt(const Packed& packed) {
  constexpr size_t kSample = 32;
  const size_t step = std::max<size_t>(1, packed.regular / kSample), samples = std::min(kSample, packed.regular);
  const size_t k = std::min(packed.k + 1, packed.regular);  // a row is its own neighbour here
  double refined = 0;
  for (size_t i = 0; i < samples; ++i) {
    std::vector<double> squares = GridSquares(packed, i * step);
    std::nth_element(squares.begin(), squares.begin() + static_cast<std::ptrdiff_t>(k - 1), squares.end());
    const double reach = std::sqrt(squares[k - 1]) + 4 * packed.level_error;
    refined += static_cast<double>(
        std::count_if(squares.begin(), squares.end(), [&](double square) { return square <= reach * reach; }));
  }
  refined = refined / static_cast<double>(samples) - static_cast<double>(packed.k);
  const double cols = static_cast<double>(packed.cols);
  return refined * (cols / 4 + 16) <= static_cast<double>(packed.rows) * cols * 3 / 128;
}

}  // namespace

Packed Pack(const Neighbours& model) {
  Packed packed;
  packed.cols = model.cols;
  packed.rows = model.rows();
  packed.k = model.k;
  packed.distance = model.distance;
  const Reference reference(model);
  packed.centre = tile::Aligned<float>(model.cols);
  for (size_t c = 0; c < model.cols; ++c) packed.centre[c] = static_cast<float>(reference.centre()[c]);
  const std::vector<Row> order = Order(reference);
  PackExact(reference, order, packed);
  PackGrid(reference, order, packed);
  packed.levels = packed.levels && WorthIt(packed);
  return packed;
}

// In the order in which simd.cpp takes them.
size_t WorkspaceSize(const Packed& model) {
  const size_t padded = tile::RoundUp(model.rows, kGroup), stride = GridStride(model.rows);
  return tile::Bytes<float>(model.cols * tile::kBlockRows) +
         tile::Bytes<int32_t>((model.cols + 3) / 4 * tile::kBlockRows) +
         tile::Bytes<double>(model.stride * kMostQueries) + tile::Bytes<float>(padded * kMostQueries) +
         tile::Bytes<int16_t>(stride * kMostQueries) + tile::Bytes<uint32_t>(stride * kMostQueries) +
         tile::Bytes<uint32_t>(stride) + tile::Bytes<double>(stride);
}

}  // namespace driftseal::kernels::neighbours
