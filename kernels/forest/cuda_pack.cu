#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <vector>

#include "kernels/forest/cuda.cuh"

namespace driftseal::kernels::forest {
namespace {

using device::CudaForest;
using device::CudaNode;

constexpr uint32_t kAlwaysRight = 0;           // Below every row's rank.
constexpr uint32_t kMostThresholds = 0xfffd;   // Ranks are 1 up to one more than that; NaN's is 0xffff.
constexpr uint32_t kMostTreeNodes = 1u << 17;  // Depth 16

uint32_t FixedPath(float path) { return static_cast<uint32_t>(static_cast<double>(path) * 65536 + 0.5); }

/// A tree as the packers see it: node numbers in breadth-first order, children checked.
struct Tree {
  std::vector<uint32_t> nodes;  ///< Breadth-first; the k-th inner node's children stand at 2k + 1 and 2k + 2.
  uint32_t depth = 0;
};

/// False where an index leaves the forest, a feature the row, or the tree is too large or no tree.
bool Read(const CudaForest& forest, uint64_t cols, uint32_t root, Tree* tree) {
  std::vector<uint32_t> level{root};
  for (tree->depth = 0;; ++tree->depth) {
    std::vector<uint32_t> next;
    for (uint32_t at : level) {
      if (at >= forest.node_count) return false;
      const CudaNode& node = forest.nodes[at];
      if (node.feature < 0) continue;
      if (static_cast<uint64_t>(node.feature) >= cols || node.left < 0 || node.right < 0) return false;
      next.push_back(static_cast<uint32_t>(node.left));
      next.push_back(static_cast<uint32_t>(node.right));
    }
    tree->nodes.insert(tree->nodes.end(), level.begin(), level.end());
    if (next.empty()) return true;
    if (tree->nodes.size() + next.size() > kMostTreeNodes) return false;
    level = std::move(next);
  }
}

/// What the shared variants need to know of a whole forest.
struct Facts {
  std::map<uint32_t, std::vector<float>> thresholds;  ///< By feature; ascending and distinct when Read is through.
  std::map<uint32_t, uint32_t> paths;                 ///< Numbers of the leaf values.
  uint32_t depth = 0;
  bool ranks_fit = true;
};

Facts FactsOf(const CudaForest& forest, const std::vector<Tree>& trees) {
  Facts facts;
  for (const Tree& tree : trees) {
    facts.depth = std::max(facts.depth, tree.depth);
    for (uint32_t at : tree.nodes) {
      const CudaNode& node = forest.nodes[at];
      if (node.feature < 0) {
        facts.paths.emplace(FixedPath(node.path), static_cast<uint32_t>(facts.paths.size()));
      } else {
        auto& values = facts.thresholds[static_cast<uint32_t>(node.feature)];
        if (!std::isnan(node.threshold)) values.push_back(node.threshold);
      }
    }
  }
  for (auto& [feature, values] : facts.thresholds) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    facts.ranks_fit = facts.ranks_fit && values.size() <= kMostThresholds;
  }
  return facts;
}

bool FitsShared(uint32_t variant, const Facts& facts, const device::DeviceLimits& limits) {
  const CudaShares shares = SharesOf(variant, limits);
  return shares.warps > 0 && facts.thresholds.size() * kFeatureBytes <= shares.tile_bytes &&
         facts.depth <= kMostDepth && facts.paths.size() <= kMostPaths && facts.ranks_fit &&
         TreeBytes(facts.depth) <= shares.tree_bytes;
}

/// Writes a complete tree: what hangs below a leaf is that leaf again, on both sides.
class Completer {
 public:
  Completer(const CudaForest& forest, const Facts& facts) : forest_(forest), facts_(facts) {
    for (const auto& [feature, values] : facts.thresholds) slots_.emplace(feature, slots_.size());
  }
  void Write(uint32_t at, uint32_t index, uint32_t level, uint32_t* words) const {
    const CudaNode& node = forest_.nodes[at];
    const bool leaf = node.feature < 0;
    if (level == facts_.depth) {
      auto* leaves = reinterpret_cast<uint8_t*>(words + (1u << facts_.depth));
      leaves[index - (1u << facts_.depth)] = static_cast<uint8_t>(facts_.paths.at(FixedPath(node.path)));
      return;
    }
    words[index] = leaf ? kAlwaysRight : Word(node);
    Write(leaf ? at : static_cast<uint32_t>(node.left), 2 * index, level + 1, words);
    Write(leaf ? at : static_cast<uint32_t>(node.right), 2 * index + 1, level + 1, words);
  }

 private:
  uint32_t Word(const CudaNode& node) const {
    const auto feature = static_cast<uint32_t>(node.feature);
    const uint32_t offset = static_cast<uint32_t>(slots_.at(feature)) * kFeatureBytes;
    if (std::isnan(node.threshold)) return offset << 16 | kAlwaysRight;
    const auto& values = facts_.thresholds.at(feature);
    const auto rank = std::lower_bound(values.begin(), values.end(), node.threshold) - values.begin();
    return offset << 16 | static_cast<uint32_t>(rank + 1);
  }

  const CudaForest& forest_;
  const Facts& facts_;
  std::map<uint32_t, size_t> slots_;
};

/// Ascending values as a search tree of `levels` levels, breadth-first from tree[1] on.
void BreadthFirst(const std::vector<float>& values, uint32_t levels, float* tree) {
  for (uint32_t level = 0; level < levels; ++level) {
    const size_t step = size_t{1} << (levels - level), first = step / 2 - 1;
    for (size_t i = 0; i < size_t{1} << level; ++i) {
      if (first + i * step < values.size()) tree[(size_t{1} << level) + i] = values[first + i * step];
    }
  }
}

void PackShared(const CudaForest& forest, const Facts& facts, uint32_t tree_bytes, device::Uploader& uploader,
                CudaModel* model) {
  const uint32_t tree_words = TreeBytes(facts.depth) / 4;
  std::vector<uint32_t> trees(tree_words * forest.trees);
  const Completer completer(forest, facts);
  for (uint64_t t = 0; t < forest.trees; ++t) completer.Write(forest.roots[t], 1, 0, trees.data() + t * tree_words);
  std::vector<uint32_t> palette(kMostPaths), features;
  for (const auto& [path, number] : facts.paths) palette[number] = path;
  std::vector<uint2> searches;
  std::vector<float> pivots;
  for (const auto& [feature, values] : facts.thresholds) {
    features.push_back(feature);
    const uint32_t levels = std::bit_width(values.size());
    searches.push_back({static_cast<uint32_t>(pivots.size()), levels});
    pivots.resize(pivots.size() + (size_t{1} << levels), INFINITY);
    BreadthFirst(values, levels, pivots.data() + searches.back().x);
  }
  model->used = static_cast<uint32_t>(features.size());
  model->depth = facts.depth;
  model->tree_words = tree_words;
  const uint32_t most = tree_bytes / (tree_words * 4);
  const auto count = static_cast<uint32_t>(forest.trees);
  const uint32_t chunks = std::max(1u, (count + most - 1) / most);
  model->chunk_trees = std::max(1u, (count + chunks - 1) / chunks);
  model->trees = uploader.Copy(trees);
  model->palette = uploader.Copy(palette);
  model->features = uploader.Copy(features);
  model->searches = uploader.Copy(searches);
  model->pivots = uploader.Copy(pivots);
  model->pivot_words = static_cast<uint32_t>(pivots.size());
}

void PackWalk(const CudaForest& forest, const std::vector<Tree>& trees, device::Uploader& uploader, CudaModel* model) {
  std::vector<uint2> nodes;
  std::vector<uint32_t> roots;
  for (const Tree& tree : trees) {
    roots.push_back(static_cast<uint32_t>(nodes.size()));
    uint32_t inner = 0;
    for (uint32_t at : tree.nodes) {
      const CudaNode& node = forest.nodes[at];
      uint2 word{};
      if (node.feature < 0) {
        word = {FixedPath(node.path), CudaWalk::kLeaf};
      } else {
        word = {std::bit_cast<uint32_t>(node.threshold),
                static_cast<uint32_t>(node.feature) << CudaWalk::kFeatureShift | (2 * inner++ + 1)};
      }
      nodes.push_back(word);
    }
  }
  model->nodes = uploader.Copy(nodes);
  model->roots = uploader.Copy(roots);
}

}  // namespace

const char* CudaVariantName(uint32_t variant) {
  constexpr const char* kNames[] = {"shared memory, 64 features", "shared memory, 256 features", "walk"};
  return variant < kCudaVariants ? kNames[variant] : nullptr;
}

CudaShares SharesOf(uint32_t variant, const device::DeviceLimits& limits) {
  // The palette comes out of the trees' share.
  const uint32_t tile = (variant == kShared64 ? 64 : 256) * kFeatureBytes, palette = kMostPaths * 4;
  for (uint32_t warps = variant == kShared64 ? kMostWarps : 4; warps > 0; --warps) {
    const uint32_t rows = warps * tile;
    // Rather fewer warps than a chunk of trees below 40 % of the memory: every chunk reads the rows again.
    if (rows + palette < limits.shared_bytes * 3 / 5) return {warps, tile, limits.shared_bytes - rows - palette};
  }
  return {0, tile, 0};
}

int CudaUpload(const CudaForest& forest, uint64_t cols, int32_t force, const device::DeviceLimits& limits,
               device::Uploader& uploader, device::Member* member) {
  if (cols > (1u << (31 - CudaWalk::kFeatureShift)) || forest.trees > UINT32_MAX) return device::kCudaUnsupported;
  std::vector<Tree> trees(forest.trees);
  for (uint64_t t = 0; t < forest.trees; ++t) {
    if (!Read(forest, cols, forest.roots[t], &trees[t])) return device::kCudaBadArgument;
  }
  const Facts facts = FactsOf(forest, trees);
  uint32_t variant = static_cast<uint32_t>(force);
  if (force < 0) {
    variant = FitsShared(kShared64, facts, limits)    ? kShared64
              : FitsShared(kShared256, facts, limits) ? kShared256
                                                      : kWalk;
  }
  if (variant > kWalk || (variant != kWalk && !FitsShared(variant, facts, limits))) return device::kCudaUnsupported;
  CudaModel model{};
  model.norm = forest.norm;
  model.tree_count = static_cast<uint32_t>(forest.trees);
  member->variant = variant;
  if (variant == kWalk) {
    PackWalk(forest, trees, uploader, &model);
    member->tile_rows = 32;
  } else {
    PackShared(forest, facts, SharesOf(variant, limits).tree_bytes, uploader, &model);
    member->tile_rows = kTileRows;
    member->parts = std::max(1u, (model.tree_count + model.chunk_trees - 1) / model.chunk_trees);
    // A row's ranks, two bytes a feature, and its path sum.
    member->scratch_row = uint64_t{model.used} * 2 + 4;
  }
  member->model = uploader.Copy(&model, 1);
  return static_cast<int>(uploader.error());
}

}  // namespace driftseal::kernels::forest
