#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/neighbours/pack.h"
#include "kernels/random.h"

namespace driftseal::kernels::neighbours {
namespace {

constexpr size_t kSampled = 512;  // Rows that centres are found with, or somewhat more.
constexpr int kStarts = 3, kIterations = 8;
// Groups that leave more of the rows' spread around one centre are hardly apart.
constexpr double kApart = 0.8;

struct Centres {
  std::vector<double> values;  // groups × cols
  double spread = std::numeric_limits<double>::infinity();
};

size_t Nearest(const Reference& reference, size_t row, const std::vector<double>& centres, double* squared) {
  size_t best = 0;
  *squared = std::numeric_limits<double>::infinity();
  for (size_t g = 0; g * reference.cols < centres.size(); ++g) {
    const double distance = SquaredDistance(reference.values.data() + row * reference.cols,
                                            centres.data() + g * reference.cols, reference.cols);
    if (distance < *squared) {
      *squared = distance;
      best = g;
    }
  }
  return best;
}

void Append(const Reference& reference, size_t row, std::vector<double>& centres) {
  const float* values = reference.values.data() + row * reference.cols;
  centres.insert(centres.end(), values, values + reference.cols);
}

// Far from one another, by chance (Arthur, Vassilvitskii 2007, SODA: k-means++).
std::vector<double> Start(const Reference& reference, const std::vector<size_t>& rows, size_t groups, Random& random) {
  std::vector<double> centres, squares(rows.size());
  Append(reference, rows[random.Below(rows.size())], centres);
  while (centres.size() < groups * reference.cols) {
    double sum = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      Nearest(reference, rows[i], centres, &squares[i]);
      sum += squares[i];
    }
    double left = random.Uniform() * sum;
    size_t i = 0;
    while (i + 1 < rows.size() && (left -= squares[i]) > 0) ++i;
    Append(reference, rows[i], centres);
  }
  return centres;
}

Centres Lloyd(const Reference& reference, const std::vector<size_t>& rows, std::vector<double> values) {
  const size_t cols = reference.cols, groups = values.size() / cols;
  Centres centres{std::move(values), 0};
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    std::vector<double> sums(groups * cols), counts(groups);
    centres.spread = 0;
    for (size_t row : rows) {
      double squared = 0;
      const size_t g = Nearest(reference, row, centres.values, &squared);
      centres.spread += squared;
      counts[g] += 1;
      for (size_t c = 0; c < cols; ++c) sums[g * cols + c] += static_cast<double>(reference.values[row * cols + c]);
    }
    for (size_t i = 0; i < sums.size(); ++i) {
      if (counts[i / cols] > 0) centres.values[i] = sums[i] / counts[i / cols];
    }
  }
  return centres;
}

// None where they are hardly apart.
std::vector<double> FindCentres(const Reference& reference, size_t regular, size_t groups) {
  std::vector<size_t> rows;
  for (size_t i = 0, step = std::max<size_t>(1, regular / kSampled); i < regular; i += step) rows.push_back(i);
  Random random(1, groups);
  const double whole = Lloyd(reference, rows, reference.centre).spread;
  Centres best;
  for (int start = 0; start < kStarts; ++start) {
    Centres found = Lloyd(reference, rows, Start(reference, rows, groups, random));
    if (found.spread < best.spread) best = std::move(found);
  }
  if (!(best.spread < kApart * whole)) return {};
  for (double& value : best.values) value = static_cast<double>(static_cast<float>(value));
  return best.values;
}

Beyond Across(const Reference& reference, const std::vector<double>& home, const double* other,
              const std::vector<uint32_t>& rows) {
  const size_t cols = reference.cols;
  Beyond beyond;
  double length = 0;
  for (size_t c = 0; c < cols; ++c) {
    beyond.direction.push_back(other[c] - home[c]);
    length += beyond.direction[c] * beyond.direction[c];
  }
  for (double& value : beyond.direction) value = length > 0 ? value / std::sqrt(length) : 0;
  std::vector<std::pair<double, uint32_t>> order;
  for (uint32_t row : rows) {
    double key = 0;
    for (size_t c = 0; c < cols; ++c) {
      key += (static_cast<double>(reference.values[row * cols + c]) - home[c]) * beyond.direction[c];
    }
    order.emplace_back(key, row);
  }
  std::sort(order.begin(), order.end());
  for (const auto& [key, row] : order) {
    beyond.rows.push_back(row);
    beyond.keys.push_back(key);
  }
  return beyond;
}

}  // namespace

std::vector<View> Homes(const Reference& reference, size_t regular, size_t groups, size_t least) {
  const size_t cols = reference.cols;
  const std::vector<double> centres = FindCentres(reference, regular, groups);
  if (centres.empty()) return {};
  std::vector<View> views(groups);
  for (size_t row = 0; row < reference.rows; ++row) {
    double squared = 0;
    views[Nearest(reference, row, centres, &squared)].own.push_back(static_cast<uint32_t>(row));
  }
  for (const View& view : views) {
    if (view.own.size() < least) return {};
  }
  for (size_t g = 0; g < groups; ++g) {
    const auto first = centres.begin() + static_cast<std::ptrdiff_t>(g * cols);
    views[g].centre.assign(first, first + static_cast<std::ptrdiff_t>(cols));
    for (size_t other = 0; other < groups; ++other) {
      if (other == g) continue;
      views[g].beyond.push_back(Across(reference, views[g].centre, centres.data() + other * cols, views[other].own));
    }
    views[g].axes = std::min(cols, kMostAxes);
    views[g].rotation = PrincipalAxes(reference, views[g].own, views[g].centre, views[g].axes);
  }
  return views;
}

}  // namespace driftseal::kernels::neighbours
