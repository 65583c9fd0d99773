#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "kernels/forest/forest.h"
#include "kernels/forest/trees.h"

namespace driftseal::kernels::forest {
namespace {

constexpr uint32_t kSplits = ShallowBlock::kEnds - 1;  // Of a block.
constexpr size_t kMostNumbers = std::numeric_limits<uint16_t>::max() + size_t{1};

/// Trees as blocks; gives up where one does not fit.
class Filler {
 public:
  explicit Filler(size_t trees) : upper_(trees) {}

  bool Fill(const Tree& tree, size_t t) { return FillBlock(tree, 0, upper_[t], &Filler::Lower); }

  void MoveTo(Packed& packed) {
    packed.shallow = std::move(upper_);
    packed.shallow.insert(packed.shallow.end(), lower_.begin(), lower_.end());
    packed.shallow_values.resize(values_.size());
    for (const auto& [path, number] : values_) packed.shallow_values[number] = path;
  }

 private:
  /// What an end of a block leads to: nothing where that does not fit.
  using End = std::optional<size_t> (Filler::*)(const Tree& tree, uint32_t index);

  /// The levels below node `index`.
  bool FillBlock(const Tree& tree, uint32_t index, ShallowBlock& block, End end) {
    return FillBelow(tree, index, block, 0, end);
  }

  bool FillBelow(const Tree& tree, uint32_t index, ShallowBlock& block, uint32_t place, End end) {
    if (place >= kSplits) {
      const std::optional<size_t> next = (this->*end)(tree, index);
      block.next[place - kSplits] = static_cast<uint16_t>(next.value_or(0));
      return next.has_value();
    }
    const TreeNode& node = tree[index];
    const bool leaf = node.feature < 0;
    block.threshold[place] = node.threshold;
    block.offset[place] = leaf ? 0 : static_cast<uint16_t>(static_cast<size_t>(node.feature) * tile::kBlockRows);
    return FillBelow(tree, leaf ? index : node.left, block, 2 * place + 1, end) &&
           FillBelow(tree, leaf ? index : node.right, block, 2 * place + 2, end);
  }

  std::optional<size_t> Lower(const Tree& tree, uint32_t index) {
    const bool leaf = tree[index].feature < 0;
    if (leaf) {
      if (const auto same = same_.find(tree[index].path); same != same_.end()) return same->second;
    }
    const size_t number = lower_.size();
    ShallowBlock block;
    if (number == kMostNumbers || !FillBlock(tree, index, block, &Filler::Value)) return std::nullopt;
    lower_.push_back(block);
    if (leaf) same_.emplace(tree[index].path, number);
    return number;
  }

  std::optional<size_t> Value(const Tree& tree, uint32_t index) {
    if (tree[index].feature >= 0) return std::nullopt;  // A further level.
    const size_t number = values_.try_emplace(tree[index].path, values_.size()).first->second;
    return number < kMostNumbers ? std::optional(number) : std::nullopt;
  }

  std::vector<ShallowBlock> upper_, lower_;
  std::map<uint32_t, size_t> values_;  // Numbers by path.
  std::map<uint32_t, size_t> same_;    // Lower blocks that come to one value, by its path.
};

}  // namespace

void PackShallow(const std::vector<Tree>& trees, Packed& packed) {
  if (packed.cols > kMostNumbers / tile::kBlockRows) return;
  Filler filler(trees.size());
  for (size_t t = 0; t < trees.size(); ++t) {
    if (!filler.Fill(trees[t], t)) return;
  }
  filler.MoveTo(packed);
}

}  // namespace driftseal::kernels::forest
