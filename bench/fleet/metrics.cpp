#include "bench/fleet/metrics.h"

#include <algorithm>
#include <numeric>

namespace driftseal::fleet {
namespace {

/// By ranks (Mann-Whitney U), ties sharing their mean rank.
double AreaUnderCurve(std::span<const float> probabilities, const Rows& rows) {
  const size_t n = rows.size();
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  const auto score = [&](size_t i) { return probabilities[2 * i + 1]; };
  std::ranges::sort(order, [&](size_t a, size_t b) { return score(a) < score(b); });
  double rank_sum = 0, positives = 0;
  for (size_t first = 0; first < n;) {
    size_t last = first;
    while (last < n && score(order[last]) == score(order[first])) ++last;
    const double rank = static_cast<double>(first + 1 + last) / 2;
    for (size_t i = first; i < last; ++i) {
      if (rows.labels[order[i]] != 1) continue;
      rank_sum += rank;
      positives += 1;
    }
    first = last;
  }
  const double negatives = static_cast<double>(n) - positives;
  if (positives == 0 || negatives == 0) return 0.5;
  return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives);
}

}  // namespace

int PredictedClass(std::span<const float> probabilities) {
  return static_cast<int>(std::ranges::max_element(probabilities) - probabilities.begin());
}

Metrics Measure(std::span<const float> probabilities, const Rows& rows, int classes) {
  const auto width = static_cast<size_t>(classes);
  std::vector<double> of_class(width), right(width);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto label = static_cast<size_t>(rows.labels[i]);
    of_class[label] += 1;
    if (PredictedClass(probabilities.subspan(i * width, width)) == rows.labels[i]) right[label] += 1;
  }
  Metrics metrics;
  metrics.accuracy = std::accumulate(right.begin(), right.end(), 0.0) / static_cast<double>(rows.size());
  for (size_t c = 0; c < width; ++c) metrics.recall.push_back(of_class[c] > 0 ? right[c] / of_class[c] : 0);
  if (classes == 2) metrics.auc = AreaUnderCurve(probabilities, rows);
  return metrics;
}

std::optional<double> AttackSuccess(const Model& model, const AttackPlan& plan, const Rows& rows, int classes) {
  if (plan.attack != Attack::kAllToAll && (plan.target_class < 0 || (!plan.trigger && plan.source_class < 0))) {
    return std::nullopt;
  }
  const auto width = static_cast<size_t>(classes);
  const std::vector<float> before = model.Probabilities(rows);
  const std::vector<float> after = plan.trigger ? model.Probabilities(Triggered(rows, *plan.trigger)) : before;
  const auto given = [&](const std::vector<float>& p, size_t i) {
    return PredictedClass(std::span(p).subspan(i * width, width));
  };
  double tried = 0, succeeded = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const int wanted = TurnedInto(plan, rows.labels[i], classes);
    if (wanted < 0 || (plan.trigger && given(before, i) == wanted)) continue;
    // Of a row whose class it does not see, a model cannot say which comes next.
    if (plan.attack == Attack::kAllToAll && given(before, i) != rows.labels[i]) continue;
    tried += 1;
    if (given(after, i) == wanted) succeeded += 1;
  }
  if (tried == 0) return std::nullopt;
  return succeeded / tried;
}

}  // namespace driftseal::fleet
