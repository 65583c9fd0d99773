#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <numeric>
#include <tuple>
#include <utility>

#include "kernels/forest/forest.h"
#include "kernels/parallel.h"
#include "kernels/random.h"

namespace driftseal::kernels::forest {
namespace {

/// ψ of n rows without replacement: Fisher and Yates's shuffle stopped after ψ swaps. Only the places that a swap has
/// changed are kept, in a hash table, so that a tree costs O(ψ) and not O(n).
class Sampler {
 public:
  Sampler(size_t rows, size_t sample_size)
      : rows_(rows), sample_size_(sample_size), changed_(std::bit_ceil(4 * sample_size)) {}

  void Draw(Random& random, std::vector<size_t>& sample) {
    std::fill(changed_.begin(), changed_.end(), Place{});
    sample.resize(sample_size_);
    for (size_t i = 0; i < sample_size_; ++i) {
      const size_t at_i = Find(i).row;
      Place& drawn = Find(i + random.Below(rows_ - i));
      sample[i] = drawn.row;
      drawn.row = at_i;
    }
  }

 private:
  static constexpr size_t kEmpty = ~size_t{0};
  struct Place {
    size_t place = kEmpty, row = 0;
  };
  /// The entry of a place, which holds its own row unless it was changed.
  Place& Find(size_t place) {
    const size_t mask = changed_.size() - 1;
    size_t at = (place * 0x9e3779b97f4a7c15u >> 20) & mask;
    while (changed_[at].place != place && changed_[at].place != kEmpty) at = (at + 1) & mask;
    if (changed_[at].place == kEmpty) changed_[at] = {place, place};
    return changed_[at];
  }

  size_t rows_, sample_size_;
  std::vector<Place> changed_;
};

/// Grows trees (iTree, algorithm 2 of the paper), one at a time. As scikit-learn does, a feature that is constant in a
/// node is not drawn there; the paper would draw it and stop.
class Grower {
 public:
  Grower(RowsView<float> rows, uint32_t sample_size)
      : rows_(rows),
        sample_size_(sample_size),
        max_depth_(static_cast<uint32_t>(std::bit_width(sample_size - 1))),  // ceil(log2 ψ)
        sampler_(rows.rows, sample_size),
        feature_(rows.cols) {}

  /// The root is node 0, and children are counted from it.
  std::vector<Node> Grow(Random random) {
    nodes_.clear();
    sampler_.Draw(random, row_);
    std::iota(feature_.begin(), feature_.end(), size_t{0});
    stack_.push_back({NewNode(), 0, sample_size_, 0, rows_.cols});
    while (!stack_.empty()) {
      const Part part = stack_.back();
      stack_.pop_back();
      Split(part, random);
    }
    return nodes_;
  }

 private:
  /// Rows row_[begin, end) at a node, and the features feature_[0, candidates) that may still vary among them.
  struct Part {
    int32_t node;
    uint32_t begin, end, depth;
    size_t candidates;
  };

  int32_t NewNode() {
    nodes_.emplace_back();
    return static_cast<int32_t>(nodes_.size() - 1);
  }

  void Split(Part part, Random& random) {
    float low = 0, high = 0;
    if (part.end - part.begin > 1 && part.depth < max_depth_) {
      while (part.candidates > 0) {
        // The feature drawn goes to the back of the candidates, so that a constant one leaves them by shortening.
        std::swap(feature_[random.Below(part.candidates)], feature_[part.candidates - 1]);
        std::tie(low, high) = Range(part, feature_[part.candidates - 1]);
        if (low < high) break;
        --part.candidates;
      }
    } else {
      part.candidates = 0;
    }
    Node& node = nodes_[static_cast<size_t>(part.node)];
    if (part.candidates == 0) {
      node.path = static_cast<float>(part.depth + MeanPath(part.end - part.begin));
      return;
    }
    const size_t feature = feature_[part.candidates - 1];
    node.feature = static_cast<int32_t>(feature);
    node.threshold = Threshold(low, high, random.Uniform());

    const float threshold = node.threshold;
    const auto middle = std::partition(row_.begin() + part.begin, row_.begin() + part.end,
                                       [&](size_t r) { return rows_.row(r)[feature] <= threshold; });
    const auto cut = static_cast<uint32_t>(middle - row_.begin());
    const int32_t left = NewNode(), right = NewNode();  // `node` may dangle from here on
    nodes_[static_cast<size_t>(part.node)].left = left;
    nodes_[static_cast<size_t>(part.node)].right = right;
    stack_.push_back({right, cut, part.end, part.depth + 1, part.candidates});
    stack_.push_back({left, part.begin, cut, part.depth + 1, part.candidates});
  }

  std::pair<float, float> Range(const Part& part, size_t feature) const {
    float low = rows_.row(row_[part.begin])[feature], high = low;
    for (uint32_t i = part.begin + 1; i < part.end; ++i) {
      const float x = rows_.row(row_[i])[feature];
      low = std::min(low, x);
      high = std::max(high, x);
    }
    return {low, high};
  }

  /// Uniform in [low, high): both sides of the split get rows.
  static float Threshold(float low, float high, double u) {
    const double wide = static_cast<double>(low) + u * (static_cast<double>(high) - static_cast<double>(low));
    const float threshold = static_cast<float>(wide);
    return threshold < high ? std::max(threshold, low) : low;
  }

  RowsView<float> rows_;
  uint32_t sample_size_, max_depth_;
  std::vector<Node> nodes_;
  Sampler sampler_;
  std::vector<size_t> row_, feature_;
  std::vector<Part> stack_;
};

Forest Concatenate(std::span<const std::vector<Node>> trees, uint32_t sample_size) {
  Forest forest;
  forest.sample_size = sample_size;
  forest.roots.reserve(trees.size());
  size_t nodes = 0;
  for (const auto& tree : trees) nodes += tree.size();
  forest.nodes.reserve(nodes);
  for (const auto& tree : trees) {
    const auto root = static_cast<int32_t>(forest.nodes.size());
    forest.roots.push_back(static_cast<uint32_t>(root));
    for (Node node : tree) {
      if (node.feature >= 0) node.left += root, node.right += root;
      forest.nodes.push_back(node);
    }
  }
  return forest;
}

}  // namespace

Forest Fit(RowsView<float> rows, const FitOptions& options) {
  assert(rows.rows >= 2 && options.trees > 0 && options.sample_size >= 2);
  assert(AllFinite(rows.data, rows.rows * rows.cols));
  const auto sample_size = static_cast<uint32_t>(std::min<size_t>(options.sample_size, rows.rows));
  // A stream a tree: trees can be grown in any order and at once.
  std::vector<std::vector<Node>> trees(options.trees);
  const size_t parts = std::min<size_t>(ThreadCount(options.threads), options.trees);
  ParallelFor(parts, parts, [&](size_t part, size_t) {
    Grower grower(rows, sample_size);
    for (size_t tree = part; tree < trees.size(); tree += parts) trees[tree] = grower.Grow(Random(options.seed, tree));
  });
  return Concatenate(trees, sample_size);
}

}  // namespace driftseal::kernels::forest
