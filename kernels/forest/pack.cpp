#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/forest/forest.h"
#include "kernels/forest/trees.h"

namespace driftseal::kernels::forest {
namespace {

/// Bits of an index into the nodes of a tree, given the largest feature.
uint32_t IndexBits(size_t cols) { return 31 - static_cast<uint32_t>(std::bit_width(cols > 0 ? cols - 1 : 0)); }

size_t Columns(const Forest& forest) {
  size_t cols = 0;
  for (const Node& node : forest.nodes) cols = std::max(cols, static_cast<size_t>(node.feature + 1));
  return cols;
}

/// Nodes and longest path of every tree, children before parents.
struct Extent {
  std::vector<size_t> nodes;
  std::vector<double> longest;

  explicit Extent(const Forest& forest) : nodes(forest.nodes.size(), 1), longest(forest.nodes.size()) {
    for (size_t i = forest.nodes.size(); i-- > 0;) {
      const Node& node = forest.nodes[i];
      longest[i] = node.path;
      if (node.feature < 0) continue;
      const auto left = static_cast<size_t>(node.left), right = static_cast<size_t>(node.right);
      nodes[i] += nodes[left] + nodes[right];
      longest[i] = std::max(longest[left], longest[right]);
    }
  }
};

std::optional<std::string> WhyNoTrees(const Forest& forest) {
  std::vector<bool> has_parent(forest.nodes.size());
  for (size_t i = 0; i < forest.nodes.size(); ++i) {
    const Node& node = forest.nodes[i];
    const std::string name = "node " + std::to_string(i);
    if (node.feature < 0) {
      if (!(node.path >= 0 && node.path < 65536)) return name + ": expected a path of 0 to 65,536";
      continue;
    }
    if (std::isnan(node.threshold)) return name + ": the threshold is NaN";
    for (int32_t child : {node.left, node.right}) {
      if (child <= static_cast<int64_t>(i) || static_cast<size_t>(child) >= forest.nodes.size())
        return name + ": expected children behind it";
      if (has_parent[static_cast<size_t>(child)])
        return "node " + std::to_string(child) + ": has two parents, expected trees";
      has_parent[static_cast<size_t>(child)] = true;
    }
  }
  return std::nullopt;
}

// What a tile costs, in operations of a program (measured on AVX-512, see README.md; on AVX2 the ratios are alike):
// walking, so many a row and level; a program its own and the decoding of its trees' leaves.
constexpr double kWalkCost = 0.8, kDecodeCost = 20;

double WalkCost(const std::vector<Tree>& trees) {
  double levels = 0;
  for (const Tree& tree : trees) levels += std::bit_width(tree.size());
  return static_cast<double>(tile::kTileRows) * kWalkCost * levels;
}

/// Every split is one operation at least.
double LeastProgramCost(const std::vector<Tree>& trees) {
  double cost = 0;
  for (const Tree& tree : trees) cost += static_cast<double>(tree.size() / 2) + kDecodeCost;
  return cost;
}

double ProgramCost(const Packed& packed) {
  return static_cast<double>(packed.ops.size()) + kDecodeCost * static_cast<double>(packed.trees);
}

/// From so many rows on a program, which costs the same for 1 to 64 of them, is cheaper than walking shallow trees:
/// four operations take about as long as a row takes in a tree (2.3 and 8 ns on a Zen 4).
size_t FewestSlicedRows(const Packed& packed) {
  return std::clamp<size_t>(packed.ops.size() / (4 * packed.trees), 9, tile::kBlockRows);
}

}  // namespace

std::optional<std::string> WhyUnfit(const Forest& forest) {
  if (auto why = WhyNoTrees(forest)) return why;
  const Extent extent(forest);
  const size_t cols = Columns(forest), most = size_t{1} << IndexBits(cols);
  double sum = 0;
  for (uint32_t root : forest.roots) {
    if (root >= forest.nodes.size()) return "root " + std::to_string(root) + " is no node";
    sum += extent.longest[root] + 1 / kPathUnit;  // what rounding may add
    if (extent.nodes[root] >= most) {
      return "the tree at node " + std::to_string(root) + " has " + std::to_string(extent.nodes[root]) +
             " nodes, expected fewer than " + std::to_string(most) + " with " + std::to_string(cols) + " features";
    }
  }
  if (sum >= 65535) return "the longest paths sum to " + std::to_string(sum) + ", expected less than 65,535";
  return std::nullopt;
}

Tree Simplify(const Forest& forest, uint32_t root) {
  // Children stand behind their parents: one pass forward copies, one backward merges, one forward drops what is left.
  struct Copy {
    uint32_t from;
    TreeNode node;
  };
  std::vector<Copy> copies{{root, {}}};
  for (size_t i = 0; i < copies.size(); ++i) {
    const Node& node = forest.nodes[copies[i].from];
    if (node.feature < 0) {
      copies[i].node.path = FixedPath(node.path);
      continue;
    }
    const auto left = static_cast<uint32_t>(copies.size());
    copies[i].node = {node.feature, node.threshold, left, left + 1, 0};
    copies.push_back({static_cast<uint32_t>(node.left), {}});
    copies.push_back({static_cast<uint32_t>(node.right), {}});
  }
  for (size_t i = copies.size(); i-- > 0;) {
    TreeNode& node = copies[i].node;
    if (node.feature < 0) continue;
    const TreeNode &left = copies[node.left].node, &right = copies[node.right].node;
    if (left.feature < 0 && right.feature < 0 && left.path == right.path) node = {-1, 0, 0, 0, left.path};
  }
  Tree tree{copies[0].node};
  for (size_t i = 0; i < tree.size(); ++i) {
    if (tree[i].feature < 0) continue;
    const auto left = static_cast<uint32_t>(tree.size());
    const TreeNode children[] = {copies[tree[i].left].node, copies[tree[i].right].node};
    tree[i].left = left;
    tree[i].right = left + 1;
    tree.insert(tree.end(), std::begin(children), std::end(children));
  }
  return tree;
}

/// Splits above the deepest leaf.
uint32_t Levels(const Tree& tree) {
  std::vector<uint32_t> levels(tree.size());
  uint32_t most = 0;
  for (size_t i = 0; i < tree.size(); ++i) {
    most = std::max(most, levels[i]);
    if (tree[i].feature >= 0) levels[tree[i].left] = levels[tree[i].right] = levels[i] + 1;
  }
  return most;
}

void PackWalk(const std::vector<Tree>& trees, Packed& packed) {
  size_t nodes = 0;
  packed.walk_levels.resize((trees.size() + Packed::kWalkedAtOnce - 1) / Packed::kWalkedAtOnce);
  for (size_t t = 0; t < trees.size(); ++t) {
    packed.walk_roots.push_back(static_cast<uint32_t>(nodes));
    nodes += trees[t].size();
    uint32_t& levels = packed.walk_levels[t / Packed::kWalkedAtOnce];
    levels = std::max(levels, Levels(trees[t]));
  }
  packed.feature_shift = IndexBits(packed.cols);
  packed.walk_nodes = tile::Aligned<WalkNode>(nodes);
  WalkNode* out = packed.walk_nodes.data();
  for (const Tree& tree : trees) {
    for (const TreeNode& node : tree) {
      if (node.feature < 0) {
        *out++ = {node.path, WalkNode::kLeaf};
      } else {
        const auto feature = static_cast<uint32_t>(node.feature);
        *out++ = {std::bit_cast<uint32_t>(node.threshold), feature << packed.feature_shift | node.left};
      }
    }
  }
}

Packed Pack(const Forest& forest, Strategy strategy) {
  Packed packed;
  packed.trees = forest.roots.size();
  packed.cols = Columns(forest);
  packed.norm = MeanPath(forest.sample_size) * static_cast<double>(packed.trees) * kPathUnit;
  std::vector<Tree> trees;
  trees.reserve(packed.trees);
  for (uint32_t root : forest.roots) trees.push_back(Simplify(forest, root));
  PackWalk(trees, packed);
  PackShallow(trees, packed);
  if (strategy == Strategy::kWalk) return packed;
  const double walk = WalkCost(trees);
  if (strategy == Strategy::kCheaper && LeastProgramCost(trees) >= walk) return packed;
  if (!PackPrograms(trees, packed)) return packed;
  packed.bit_sliced = strategy == Strategy::kBitSliced || ProgramCost(packed) < walk;
  if (!packed.shallow.empty()) packed.fewest_sliced_rows = FewestSlicedRows(packed);
  return packed;
}

}  // namespace driftseal::kernels::forest
