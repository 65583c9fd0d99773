#include "engine/detector/pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/detector/plan.h"

namespace driftseal::detector {
namespace {

constexpr double kFloor =
    0.03;  ///< Of a share: about one input of the 40 that a set of 400 has of each of ten classes.

struct Moments {
  size_t count = 0;
  double mean = 0, variance = 0;
};

Moments MomentsOf(const std::vector<Sample>& samples, std::span<const size_t> rows, size_t feature) {
  Moments of;
  double sum = 0, squares = 0;
  for (const size_t row : rows) {
    const double value = samples[row].values[feature];
    if (std::isnan(value)) continue;
    ++of.count;
    sum += value;
    squares += value * value;
  }
  if (of.count == 0) return of;
  const auto count = static_cast<double>(of.count);
  of.mean = sum / count;
  of.variance = std::max(squares / count - of.mean * of.mean, 0.0);
  return of;
}

ClassPairs FitOn(const std::vector<Sample>& samples, std::span<const size_t> rows, std::span<const uint32_t> features) {
  ClassPairs pairs;
  for (const uint32_t feature : features) {
    const Moments of = MomentsOf(samples, rows, feature);
    pairs.features.push_back(feature);
    pairs.mean.push_back(of.mean);
    pairs.spread.push_back(std::sqrt(of.variance + kFloor * kFloor));
  }
  return pairs;
}

/// Scores of the rows by pairs that were fitted without their fold.
std::vector<double> OutOfFold(const std::vector<Sample>& samples, std::span<const size_t> rows,
                              std::span<const uint32_t> features) {
  std::vector<double> scores;
  for (size_t fold = 0; fold < kFolds; ++fold) {
    std::vector<size_t> kept;
    for (size_t r = 0; r < rows.size(); ++r) {
      if (r % kFolds != fold) kept.push_back(rows[r]);
    }
    const ClassPairs pairs = FitOn(samples, kept, features);
    for (size_t r = fold; r < rows.size(); r += kFolds) {
      const double score = PairScore(pairs, std::span<const double>(samples[rows[r]].values));
      if (!std::isnan(score)) scores.push_back(score);
    }
  }
  return scores;
}

}  // namespace

std::optional<ClassPairs> FitPairs(const std::vector<Sample>& samples, std::span<const size_t> rows,
                                   const std::vector<ColumnUse>& uses) {
  std::vector<uint32_t> features;
  for (size_t c = 0; c < uses.size(); ++c) {
    if (uses[c] != ColumnUse::kPair) continue;
    const Moments of = MomentsOf(samples, rows, c);
    if (2 * of.count > rows.size() && of.variance > 0) features.push_back(static_cast<uint32_t>(c));
  }
  if (features.empty()) return std::nullopt;
  ClassPairs pairs = FitOn(samples, rows, features);
  std::vector<double> scores = OutOfFold(samples, rows, features);
  if (!scores.empty()) pairs.normaliser = FitNormaliser(std::move(scores));
  return pairs;
}

template <class Value>
std::vector<PairDeviation> LargestPairs(const ClassPairs& pairs, std::span<const Value> row) {
  std::vector<PairDeviation> found;
  for (size_t p = 0; p < pairs.features.size(); ++p) {
    const double z = (static_cast<double>(row[pairs.features[p]]) - pairs.mean[p]) / pairs.spread[p];
    if (!std::isnan(z)) found.push_back({p, z});
  }
  const size_t kept = std::min(found.size(), kPairsCounted);
  std::partial_sort(
      found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept), found.end(),
      [](const PairDeviation& a, const PairDeviation& b) { return a.z != b.z ? a.z > b.z : a.pair < b.pair; });
  found.resize(kept);
  return found;
}
template std::vector<PairDeviation> LargestPairs(const ClassPairs&, std::span<const double>);
template std::vector<PairDeviation> LargestPairs(const ClassPairs&, std::span<const float>);

template <class Value>
double PairScore(const ClassPairs& pairs, std::span<const Value> row) {
  const std::vector<PairDeviation> largest = LargestPairs(pairs, row);
  if (largest.empty()) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (const PairDeviation& deviation : largest) sum += deviation.z;
  return sum / static_cast<double>(largest.size());
}
template double PairScore(const ClassPairs&, std::span<const double>);
template double PairScore(const ClassPairs&, std::span<const float>);

}  // namespace driftseal::detector
