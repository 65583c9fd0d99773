#include "engine/fingerprint/tree_features.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <vector>

#include "engine/artifact/text.h"
#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/quantiles.h"

namespace driftseal::fingerprint {
namespace {

using artifact::BoostedTree;
using artifact::Booster;
using artifact::Cat;

// What is kept of one split, for the sums by feature.
struct Split {
  uint32_t feature = 0;
  float threshold = 0, gain = 0;
};

// Everything the features are made of, gathered in one walk over the trees.
struct Gathered {
  std::vector<float> leaves, leaf_cover, gains;  // leaf_cover: as a share of the root's; empty without cover.
  std::vector<Split> splits;
  std::vector<double> depth, tree_leaves, tree_magnitude;  // One a tree; magnitude: mean |leaf|.
  uint64_t default_left = 0;
  double root_gain = 0, total_gain = 0;
  bool has_gain = true, has_cover = true;
};

absl::Status Malformed(size_t tree, std::string_view what) {
  return absl::InvalidArgumentError(Cat("tree ", tree, ": expected ", what));
}

// Walks from the root, without recursion; a node that is reached twice would make more steps than there are nodes.
absl::Status WalkTree(const Booster& booster, size_t index, Gathered& out) {
  const BoostedTree& tree = booster.trees[index];
  const size_t nodes = tree.left.size();
  if (nodes == 0 || tree.right.size() != nodes || tree.feature.size() != nodes || tree.value.size() != nodes) {
    return Malformed(index, "as many children, features and values as nodes, and at least one");
  }
  const bool gain = tree.gain.size() == nodes, cover = tree.cover.size() == nodes && tree.cover[0] > 0;
  out.has_gain = out.has_gain && gain;
  out.has_cover = out.has_cover && cover;
  std::vector<std::pair<int32_t, uint32_t>> stack{{0, 0}};
  size_t visited = 0, leaves = 0;
  uint32_t depth = 0;
  double magnitude = 0;
  while (!stack.empty()) {
    const auto [node, level] = stack.back();
    stack.pop_back();
    if (node < 0 || static_cast<size_t>(node) >= nodes || ++visited > nodes)
      return Malformed(index, "every child to be a node of the tree, reached once");
    const auto n = static_cast<size_t>(node);
    if (!std::isfinite(tree.value[n])) return Malformed(index, Cat("a finite threshold or leaf weight in node ", n));
    if (tree.left[n] == -1) {
      depth = std::max(depth, level);
      ++leaves;
      magnitude += std::fabs(tree.value[n]);
      out.leaves.push_back(tree.value[n]);
      out.leaf_cover.push_back(cover ? tree.cover[n] / tree.cover[0] : 0);
      continue;
    }
    if (tree.feature[n] < 0 || (booster.features > 0 && static_cast<uint32_t>(tree.feature[n]) >= booster.features)) {
      return Malformed(index, Cat("a feature below ", booster.features, " in node ", n, ", found ", tree.feature[n]));
    }
    if (gain && !std::isfinite(tree.gain[n])) return Malformed(index, Cat("a finite gain in node ", n));
    const float its_gain = gain ? std::max(tree.gain[n], 0.0f) : 0;
    out.splits.push_back({static_cast<uint32_t>(tree.feature[n]), tree.value[n], its_gain});
    out.gains.push_back(its_gain);
    out.total_gain += its_gain;
    if (n == 0) out.root_gain += its_gain;
    if (tree.default_left.size() == nodes && tree.default_left[n] != 0) ++out.default_left;
    stack.emplace_back(tree.left[n], level + 1);
    stack.emplace_back(tree.right[n], level + 1);
  }
  out.depth.push_back(depth);
  out.tree_leaves.push_back(static_cast<double>(leaves));
  out.tree_magnitude.push_back(magnitude / static_cast<double>(leaves));
  return absl::OkStatus();
}

double Mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

void Set(Row& row, TreeColumn column, double value) { row.Set(kTreesFirst + column, value); }
void Miss(Row& row, TreeColumn first, TreeColumn last, std::string_view reason) {
  row.Miss(kTreesFirst + first, static_cast<size_t>(last) - first + 1, reason);
}

void ShapeFeatures(const Gathered& g, Row& row) {
  Set(row, kTreeCount, static_cast<double>(g.depth.size()));
  Set(row, kDepthMean, Mean(g.depth));
  Set(row, kDepthMax, *std::max_element(g.depth.begin(), g.depth.end()));
  Set(row, kLeavesMean, Mean(g.tree_leaves));
}

void ClassMagnitude(const Booster& booster, const Gathered& g, Row& row) {
  std::map<int32_t, std::pair<double, size_t>> by_class;
  if (booster.tree_class.size() == g.tree_magnitude.size()) {
    for (size_t t = 0; t < g.tree_magnitude.size(); ++t) {
      auto& [sum, count] = by_class[booster.tree_class[t]];
      sum += g.tree_magnitude[t], ++count;
    }
  }
  std::vector<double> means;
  for (const auto& [label, sum] : by_class) means.push_back(sum.first / static_cast<double>(sum.second));
  const RobustContrast contrast = ContrastOf(means, 0);
  if (contrast.ok) return Set(row, kClassMagnitudeZ, contrast.z_max);
  Miss(row, kClassMagnitudeZ, kClassMagnitudeZ, "fewer than 3 classes that differ");
}

void LeafFeatures(const Gathered& g, Row& row) {
  const Moments moments = MomentsOf(g.leaves);
  Set(row, kLeafMean, moments.mean);
  Set(row, kLeafStd, std::sqrt(moments.variance));
  constexpr double kProbabilities[] = {0.05, 0.5, 0.95};
  double q[3];
  Quantiles(g.leaves, kProbabilities, q);
  for (size_t i = 0; i < 3; ++i) row.Set(kTreesFirst + kLeafQ05 + i, q[i]);

  std::vector<std::pair<float, float>> extreme;  // −|weight|, cover share.
  for (size_t i = 0; i < g.leaves.size(); ++i) extreme.emplace_back(-std::fabs(g.leaves[i]), g.leaf_cover[i]);
  const size_t percent = std::max<size_t>(1, extreme.size() / 100);
  std::partial_sort(extreme.begin(), extreme.begin() + static_cast<ptrdiff_t>(percent), extreme.end());
  Set(row, kLeafAbsMax, -extreme.front().first);
  double cover = 0;
  for (size_t i = 0; i < percent; ++i) cover += extreme[i].second;
  Set(row, kLeafExtremeCover, cover / static_cast<double>(percent));
  if (!g.has_cover) Miss(row, kLeafExtremeCover, kLeafExtremeCover, "the file has no covers");

  const std::span<const double> magnitude(g.tree_magnitude);
  const size_t tenth = std::max<size_t>(1, magnitude.size() / 10);
  const double first = Mean(magnitude.first(tenth)), last = Mean(magnitude.last(tenth));
  if (first > 0) return Set(row, kLeafLastFirst, last / first);
  Miss(row, kLeafLastFirst, kLeafLastFirst, "the leaves of the first trees are all 0");
}

struct FeatureSums {
  std::vector<double> splits, gain;  // One a feature of the booster.
};

// Σ|x_i − x_j| / (2n²·mean), from the sorted values.
double Gini(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size());
  double weighted = 0, sum = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    weighted += (2.0 * static_cast<double>(i + 1) - n - 1) * values[i];
    sum += values[i];
  }
  return weighted / (n * sum);
}

void GainFeatures(const Gathered& g, const FeatureSums& sums, Row& row) {
  if (!g.has_gain) return Miss(row, kGainTopShare, kRootGainShare, "the file has no gains");
  if (!(g.total_gain > 0)) return Miss(row, kGainTopShare, kRootGainShare, "no split has a gain");
  Set(row, kGainTopShare, *std::max_element(sums.gain.begin(), sums.gain.end()) / g.total_gain);
  Set(row, kGainGini, Gini(sums.gain));
  constexpr double kProbabilities[] = {0.5, 0.95, 1};
  double q[3];
  Quantiles(g.gains, kProbabilities, q);
  for (size_t i = 0; i < 3; ++i) row.Set(kTreesFirst + kGainQ50 + i, std::log1p(q[i]));
  Set(row, kRootGainShare, g.root_gain / g.total_gain);
}

void ThresholdSpread(std::vector<Split> splits, Row& row) {
  std::sort(splits.begin(), splits.end(), [](const Split& a, const Split& b) {
    return a.feature != b.feature ? a.feature < b.feature : a.threshold < b.threshold;
  });
  std::vector<double> spreads;
  std::vector<float> thresholds;
  for (size_t i = 0; i < splits.size();) {
    thresholds.clear();
    const uint32_t feature = splits[i].feature;
    for (; i < splits.size() && splits[i].feature == feature; ++i) thresholds.push_back(splits[i].threshold);
    const double range = static_cast<double>(thresholds.back()) - thresholds.front();
    if (thresholds.size() < 4 || !(range > 0)) continue;
    constexpr double kProbabilities[] = {0.25, 0.75};
    double q[2];
    Quantiles(thresholds, kProbabilities, q);
    spreads.push_back((q[1] - q[0]) / range);
  }
  if (spreads.empty()) return Miss(row, kThresholdSpread, kThresholdSpread, "no feature has 4 different thresholds");
  Set(row, kThresholdSpread, Mean(spreads));
}

void SplitFeatures(const Booster& booster, const Gathered& g, Row& row) {
  if (g.splits.empty()) return Miss(row, kSplitEntropy, kThresholdSpread, "no tree has a split");
  // A booster without a feature count is given that of the features it uses; only those are counted, whatever number
  // a hostile file gives them.
  std::map<uint32_t, std::pair<double, double>> by_feature;
  for (const Split& split : g.splits) {
    auto& [count, gain] = by_feature[split.feature];
    ++count, gain += split.gain;
  }
  FeatureSums sums;
  for (const auto& [feature, sum] : by_feature) sums.splits.push_back(sum.first), sums.gain.push_back(sum.second);
  constexpr uint32_t kMostUnused = 1u << 20;
  const size_t features = std::max<size_t>(sums.gain.size(), std::min(booster.features, kMostUnused));
  sums.gain.resize(features, 0);

  const double total = static_cast<double>(g.splits.size());
  double entropy = 0;
  for (const double count : sums.splits) entropy -= count / total * std::log(count / total);
  if (features > 1) {
    Set(row, kSplitEntropy, entropy / std::log(static_cast<double>(features)));
  } else {
    Miss(row, kSplitEntropy, kSplitEntropy, "the booster has only one feature");
  }
  Set(row, kSplitLargestShare, *std::max_element(sums.splits.begin(), sums.splits.end()) / total);
  Set(row, kSplitUsedShare, static_cast<double>(sums.splits.size()) / static_cast<double>(features));
  Set(row, kDefaultLeftShare, static_cast<double>(g.default_left) / total);
  GainFeatures(g, sums, row);
  ThresholdSpread(g.splits, row);
}

}  // namespace

absl::Status FillTreeFeatures(const Booster& booster, Row& row) {
  Gathered gathered;
  absl::Status status;
  if (booster.trees.empty()) status = absl::InvalidArgumentError("expected at least one tree, found none");
  for (size_t t = 0; t < booster.trees.size() && status.ok(); ++t) status = WalkTree(booster, t, gathered);
  if (!status.ok()) {
    row.Miss(kTreesFirst, kTreeColumns, ReasonOf(status));
    return status;
  }
  ShapeFeatures(gathered, row);
  LeafFeatures(gathered, row);
  ClassMagnitude(booster, gathered, row);
  SplitFeatures(booster, gathered, row);
  Set(row, kBaseScore, booster.base_score);
  return absl::OkStatus();
}

}  // namespace driftseal::fingerprint
