#include "engine/fingerprint/behaviour_view.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "engine/fingerprint/quantiles.h"

namespace driftseal::fingerprint {

using replay::CanarySet;
using replay::RawBehaviour;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double MedianOf(std::vector<double> values) { return values.empty() ? kNaN : MedianInPlace(values); }

double QuantileOf(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

std::span<const float> RowOf(const std::vector<float>& matrix, size_t row, size_t columns) {
  return std::span(matrix).subspan(row * columns, columns);
}

std::pair<double, int> MarginOf(std::span<const float> logits) {
  double first = -std::numeric_limits<double>::infinity(), second = first;
  int best = 0;
  for (size_t c = 0; c < logits.size(); ++c) {
    if (logits[c] > first) {
      second = first;
      first = logits[c];
      best = static_cast<int>(c);
    } else if (logits[c] > second) {
      second = logits[c];
    }
  }
  return {first - second, best};
}

std::vector<double> Doubles(const std::vector<float>& values, double divisor) {
  std::vector<double> out(values.begin(), values.end());
  for (double& v : out) v /= divisor;
  return out;
}

std::vector<double> LargestOver(const BehaviourView& view, const std::vector<float>& matrix, bool local,
                                double divisor) {
  std::vector<double> out;
  if (matrix.empty()) return out;
  for (size_t t = 0; t < view.raw.triggers.size(); ++t) {
    if (local && !view.raw.triggers[t].local()) continue;
    const auto row = RowOf(matrix, t, view.classes);
    if (out.empty()) out.assign(view.classes, -std::numeric_limits<double>::infinity());
    for (size_t c = 0; c < view.classes; ++c) out[c] = std::max(out[c], row[c] / divisor);
  }
  return out;
}

double LargestTrigger(const BehaviourView& view, const std::vector<float>& needed,
                      const std::function<double(size_t)>& of) {
  double best = kNaN;
  for (size_t t = 0; t < view.raw.triggers.size() && !needed.empty(); ++t) best = std::fmax(best, of(t));
  return best;
}

std::vector<double> OverStarts(const BehaviourView& view, const std::function<double(std::vector<double>)>& reduce) {
  std::vector<double> out;
  if (view.raw.margin.empty()) return out;
  const size_t starts = view.raw.margin.size() / view.classes;
  for (size_t c = 0; c < view.classes; ++c) {
    const auto row = RowOf(view.raw.margin, c, starts);
    out.push_back(reduce({row.begin(), row.end()}) / view.scale);
  }
  return out;
}

double Largest(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }

double MeanOf(const std::vector<double>& values) {
  double sum = 0;
  for (double v : values) sum += v;
  return values.empty() ? kNaN : sum / static_cast<double>(values.size());
}

double SpreadOf(const std::vector<double>& values) {
  const double mean = MeanOf(values);
  double sum = 0;
  for (double v : values) sum += (v - mean) * (v - mean);
  return values.empty() ? kNaN : std::sqrt(sum / static_cast<double>(values.size()));
}

double RatioOf(const std::vector<double>& values, double floor) {
  return values.empty() ? kNaN : Largest(values) / (MedianOf(values) + floor);
}

namespace {

Recalls RecallsOf(const BehaviourView& view) {
  std::vector<double> right(view.classes), truth(view.classes), given(view.classes);
  std::vector<double> cells(view.classes * view.classes);
  double known = 0;
  for (size_t i = 0; i < view.raw.inputs; ++i) {
    const int label = view.set.labels[i];
    if (label < 0 || static_cast<size_t>(label) >= view.classes) continue;
    const auto l = static_cast<size_t>(label), p = static_cast<size_t>(view.predicted[i]);
    ++known, ++truth[l], ++given[p];
    right[l] += l == p;
    cells[l * view.classes + p] += l != p;
  }
  Recalls out{{}, {}, kNaN, kNaN};
  if (known == 0) return out;
  double correct = 0;
  for (size_t c = 0; c < view.classes; ++c) {
    correct += right[c];
    out.recall.push_back(truth[c] > 0 ? right[c] / truth[c] : kNaN);
    out.excess.push_back((given[c] - truth[c]) / known);
    for (size_t p = 0; truth[c] > 0 && p < view.classes; ++p) cells[c * view.classes + p] /= truth[c];
  }
  out.accuracy = correct / known;
  out.confusion = Largest(cells);
  return out;
}

Profile ProfileOf(const BehaviourView& view) {
  const size_t classes = view.classes;
  std::vector<std::vector<double>> of_class(classes), margins(classes), ranked(classes);
  for (size_t i = 0; i < view.raw.inputs; ++i) {
    const auto logits = RowOf(view.raw.logits, i, classes);
    std::vector<double> centred(logits.begin(), logits.end());
    const double mean = MeanOf(centred);
    for (double& v : centred) v = (v - mean) / view.scale;
    const auto label = static_cast<size_t>(std::max(view.set.labels[i], -1));
    for (size_t c = 0; c < classes; ++c) {
      if (c != label) of_class[c].push_back(centred[c]);
    }
    if (label < classes) {
      double other = -std::numeric_limits<double>::infinity();
      for (size_t c = 0; c < classes; ++c) other = c == label ? other : std::max(other, centred[c]);
      margins[label].push_back(centred[label] - other);
    }
    std::sort(centred.begin(), centred.end(), std::greater<>());
    for (size_t c = 0; c < classes; ++c) ranked[c].push_back(centred[c]);
  }
  Profile out;
  std::vector<double> spreads;
  for (size_t c = 0; c < classes; ++c) {
    out.mean.push_back(MeanOf(of_class[c]));
    out.spread.push_back(SpreadOf(of_class[c]));
    out.margin.push_back(MeanOf(margins[c]));
    spreads.push_back(SpreadOf(ranked[c]));
  }
  out.second = MeanOf(ranked[1]);
  out.third = classes > 2 ? MeanOf(ranked[2]) : kNaN;
  out.last = MeanOf(ranked.back());
  out.ranks = MeanOf(spreads);
  return out;
}

}  // namespace

BehaviourView ViewOf(const RawBehaviour& raw, const CanarySet& set) {
  BehaviourView view{raw, set, raw.classes, {}, {}, {}, {}, 0};
  for (size_t i = 0; i < raw.inputs; ++i) {
    const auto [margin, best] = MarginOf(RowOf(raw.logits, i, raw.classes));
    view.margins.push_back(margin);
    view.predicted.push_back(best);
  }
  std::sort(view.margins.begin(), view.margins.end());
  view.scale = std::max(QuantileOf(view.margins, 0.5), 1e-6);
  view.recalls = RecallsOf(view);
  view.profile = ProfileOf(view);
  return view;
}

}  // namespace driftseal::fingerprint
