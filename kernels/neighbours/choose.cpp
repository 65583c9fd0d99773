#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/neighbours/pack.h"
#include "kernels/neighbours/select.h"

namespace driftseal::kernels::neighbours {
namespace {

constexpr size_t kCompared = 1024;                        // Rows that a sample is compared with, or somewhat more.
constexpr double kOwnOverhead = 10, kBeyondOverhead = 6;  // Instructions that 32 rows cost beside the products.
constexpr double kLookAgain = 8;                          // To go through 32 values again.
// With all columns G is a distance of its own, and more rows lie within G + 2ε than a sample says; all the more, the
// larger k is, for then few of the maxima are passed over.
constexpr double kUnsure = 1.5, kUsualK = 5;
constexpr double kSegment = 40;  // And a home's segment, whose last block is half empty.

// Numbers of quads that are tried.
std::vector<size_t> Quads(size_t cols, size_t axes) {
  const size_t all = (cols + 3) / 4;
  std::vector<size_t> quads;
  for (size_t q = 1; q < all && 4 * q - 1 <= axes; q += q < 8 ? 1 : q / 4) quads.push_back(q);
  if ((axes == 0 || axes == cols) && all <= kMostQuads) quads.push_back(all);
  return quads;
}

// A number of quads, and what has been counted with it.
struct Trial {
  size_t quads;
  Columns columns;
  Scale scale;
  double candidates = 0, fewer = 0;  // within T + 2ε, and within T + ε
};

// Counts those of the rows that would pass each trial's filter around one of them, whose k nearest are within
// `distance`.
void Count(const Projection& rows, size_t x, double distance, std::vector<Trial>& trials) {
  std::vector<double> reach, near, rest;
  for (const Trial& trial : trials) {
    // ε of two rounding errors that are even on [-1/2, 1/2]: one as long as the longest.
    const double columns = 4 * static_cast<double>(trial.quads);
    const double error = (1 + 1.2) * trial.scale.unit * std::sqrt(columns / 12);
    reach.push_back(std::pow(distance + 2 * error, 2));
    near.push_back(std::pow(distance + error, 2));
    rest.push_back(trial.columns.rest ? rows.Rest(x, trial.columns.axes) : 0);
  }
  const double most = *std::max_element(reach.begin(), reach.end());
  for (size_t i = 0; i < rows.count(); ++i) {
    double sum = 0;
    size_t axis = 0;
    for (size_t t = 0; t < trials.size() && sum <= most; ++t) {
      for (; axis < trials[t].columns.axes; ++axis) {
        const double difference = rows.row(x)[axis] - rows.row(i)[axis];
        sum += difference * difference;
      }
      if (sum > reach[t]) continue;
      const double length = trials[t].columns.rest ? rows.Rest(i, axis) - rest[t] : 0;
      trials[t].candidates += sum + length * length <= reach[t] ? 1 : 0;
      trials[t].fewer += sum + length * length <= near[t] ? 1 : 0;
    }
  }
}

// The distance to the k-th nearest of all rows but itself.
double KthDistance(const Reference& reference, size_t row, size_t k) {
  const auto at = [&](size_t i) { return reference.values.data() + i * reference.cols; };
  std::vector<double> squares(reference.rows);
  for (size_t i = 0; i < reference.rows; ++i) squares[i] = SquaredDistance(at(row), at(i), reference.cols);
  const size_t kth = std::min(k, reference.rows - 1);
  std::nth_element(squares.begin(), squares.begin() + static_cast<std::ptrdiff_t>(kth), squares.end());
  return std::sqrt(squares[kth]);
}

double KeyOf(const Reference& reference, const View& view, const Beyond& beyond, size_t row) {
  double key = 0;
  for (size_t c = 0; c < reference.cols; ++c) {
    key += (static_cast<double>(reference.values[row * reference.cols + c]) - view.centre[c]) * beyond.direction[c];
  }
  return key;
}

}  // namespace

Projection::Projection(const Reference& reference, const View& view, const std::vector<uint32_t>& rows)
    : axes_(view.axes > 0 ? view.axes : reference.cols), values_(rows.size() * axes_), norms_(rows.size()) {
  const size_t cols = reference.cols;
  std::vector<double> x(cols);
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t c = 0; c < cols; ++c) {
      x[c] = static_cast<double>(reference.values[rows[i] * cols + c]) - view.centre[c];
      norms_[i] += x[c] * x[c];
    }
    if (view.axes == 0) std::copy(x.begin(), x.end(), values_.begin() + static_cast<std::ptrdiff_t>(i * axes_));
    double* y = values_.data() + i * axes_;
    for (size_t c = 0; c < cols && view.axes > 0; ++c) {
      const double* axes = view.rotation.data() + c * axes_;
      for (size_t a = 0; a < axes_; ++a) y[a] += axes[a] * x[c];
    }
  }
}

double Projection::Rest(size_t i, size_t axes) const {
  double left = norms_[i];
  for (size_t a = 0; a < axes; ++a) left -= row(i)[a] * row(i)[a];
  return std::sqrt(std::max(0.0, left));
}

Scale ScaleOf(const Projection& rows, Columns columns, size_t left_out, double reach) {
  Scale scale;
  std::vector<double> rest(rows.count());
  for (size_t i = 0; i < rows.count() && columns.rest; ++i) {
    rest[i] = rows.Rest(i, columns.axes);
    scale.rest_centre += rest[i] / static_cast<double>(rows.count());
  }
  scale.rest_centre = static_cast<double>(static_cast<float>(scale.rest_centre));
  std::vector<double> units(rows.count());
  for (size_t i = 0; i < rows.count(); ++i) {
    const double length = columns.rest ? rest[i] - scale.rest_centre : 0;
    double largest = std::abs(length), norm = length * length;
    for (size_t a = 0; a < columns.axes; ++a) {
      largest = std::max(largest, std::abs(rows.row(i)[a]));
      norm += rows.row(i)[a] * rows.row(i)[a];
    }
    units[i] = std::max(largest / kLevels, std::sqrt(norm) / reach);
  }
  const auto last = units.end() - static_cast<std::ptrdiff_t>(left_out) - 1;
  std::nth_element(units.begin(), last, units.end());
  scale.unit = *last;
  return scale;
}

Choice BestQuads(const Reference& reference, const View& view, size_t k, size_t samples) {
  std::vector<uint32_t> some;  // Of the view's own rows, for many say no more.
  const size_t step = std::max<size_t>(1, view.own.size() / kCompared);
  for (size_t i = 0; i < view.own.size(); i += step) some.push_back(view.own[i]);
  const Projection rows(reference, view, some);
  std::vector<Trial> trials;
  for (size_t quads : Quads(reference.cols, view.axes)) {
    const Columns columns = ColumnsOf(quads, reference.cols);
    const size_t left_out = view.beyond.empty() ? 0 : rows.count() / 64;
    trials.push_back({quads, columns, ScaleOf(rows, columns, left_out, kHomeReach)});
  }
  if (trials.empty()) return {0, false, std::numeric_limits<double>::infinity()};
  samples = std::min(samples, rows.count());
  double passed = 0;  // Rows beyond that are looked at.
  for (size_t i = 0; i < samples; ++i) {
    const size_t x = i * rows.count() / samples;
    const double distance = KthDistance(reference, some[x], k);
    Count(rows, x, distance, trials);
    for (const Beyond& beyond : view.beyond) {
      const double limit = KeyOf(reference, view, beyond, some[x]) + distance;
      const auto last = std::upper_bound(beyond.keys.begin(), beyond.keys.end(), limit);
      const auto count = static_cast<size_t>(last - beyond.keys.begin());
      passed += static_cast<double>(std::min(beyond.keys.size(), 2 * count));  // Filtered at once, rows share them.
    }
  }
  passed /= static_cast<double>(samples);
  Choice best{0, false, std::numeric_limits<double>::infinity()};
  const auto cols = static_cast<double>(reference.cols), own_rows = static_cast<double>(view.own.size());
  for (const Trial& trial : trials) {
    const auto quads = static_cast<double>(trial.quads);
    const double filter = (own_rows + passed) * quads / 16 + (own_rows * kOwnOverhead + passed * kBeyondOverhead) / 32 +
                          static_cast<double>(view.beyond.size()) * (kSegment + quads);
    const double scale = static_cast<double>(step) / static_cast<double>(samples), one = cols / 4 + 16;
    const double at_once = (trial.candidates * scale + static_cast<double>(k)) * one;
    const double in_steps =
        (trial.fewer * scale + 2 * static_cast<double>(k) + 1) * one + own_rows * kLookAgain / 32 + kSegment;
    const double refine = std::min(at_once, in_steps);
    const double unsure = kUnsure * std::max(1.0, static_cast<double>(k) / kUsualK);
    const double rotate = view.axes == 0 ? 0 : static_cast<double>(trial.columns.axes) * cols / 16;
    if (filter + refine + rotate < best.cost)
      best = {trial.quads, in_steps < (trial.columns.rest ? 1 : unsure) * at_once, filter + refine + rotate};
  }
  return best;
}

}  // namespace driftseal::kernels::neighbours
