#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <tuple>

#include "kernels/forest/forest.h"
#include "kernels/forest/trees.h"

// Trees as networks of multiplexers over bit vectors (performance by number of nodes, not by depth; no gathers).
namespace driftseal::kernels::forest {
namespace {

constexpr uint32_t kZeros = 0, kOnes = 1, kFirstSlot = 2;
constexpr uint32_t kMostSlots = 65536;
/// Programs are built by recursion.
constexpr size_t kMostDepth = 64;

size_t Depth(const Tree& tree) {
  std::vector<size_t> depth(tree.size());
  size_t deepest = 0;
  for (size_t i = 0; i < tree.size(); ++i) {
    deepest = std::max(deepest, depth[i]);
    if (tree[i].feature >= 0) depth[tree[i].left] = depth[tree[i].right] = depth[i] + 1;
  }
  return deepest;
}

/// Sorted thresholds a feature; −0 and 0 are one.
using Thresholds = std::map<uint32_t, std::vector<float>>;

Thresholds CollectThresholds(const std::vector<Tree>& trees) {
  Thresholds thresholds;
  for (const Tree& tree : trees) {
    for (const TreeNode& node : tree) {
      if (node.feature >= 0) thresholds[static_cast<uint32_t>(node.feature)].push_back(node.threshold);
    }
  }
  for (auto& [feature, values] : thresholds) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
  }
  return thresholds;
}

/// Slots of a table: a comparison for each low part, "greater" and "equal" for each high part.
uint32_t TableSlots(const RankTable& table) {
  const uint32_t high = table.levels - table.low_levels;
  return (1u << table.low_levels) + (high > 0 ? 2u << high : 0);
}

/// A perfect search tree, breadth first: level l holds 2^l pivots from 2^l − 1 on.
void AppendPivots(const std::vector<float>& sorted, uint32_t levels, std::vector<float>& pivots) {
  for (uint32_t level = 0; level < levels; ++level) {
    for (uint32_t k = 0; k < 1u << level; ++k) {
      const size_t at = (size_t{2 * k + 1} << (levels - 1 - level)) - 1;
      pivots.push_back(at < sorted.size() ? sorted[at] : std::numeric_limits<float>::infinity());
    }
  }
}

/// Tables for all features, and the first slot behind them; 0 when there are too many.
uint32_t BuildTables(const Thresholds& thresholds, Packed& packed) {
  uint32_t slot = kFirstSlot;
  std::vector<float> pivots;
  for (const auto& [feature, sorted] : thresholds) {
    RankTable table;
    table.feature = feature;
    table.levels = static_cast<uint32_t>(std::bit_width(sorted.size()));
    table.low_levels = table.levels <= 3 ? table.levels : (table.levels + 1) / 2;
    table.pivots = static_cast<uint32_t>(pivots.size());
    table.first_slot = slot;
    // 16 levels keep a rank within 16 bits, and a table within the slots.
    if (table.levels > 16 || (slot += TableSlots(table)) >= kMostSlots) return 0;
    AppendPivots(sorted, table.levels, pivots);
    packed.ranks.push_back(table);
  }
  // A vector of pivots may be read past the last level's end.
  packed.pivots = tile::Aligned<float>(pivots.size() + 2 * tile::kBlockRows);
  std::copy(pivots.begin(), pivots.end(), packed.pivots.data());
  return slot;
}

/// Writes the program of one tree at a time.
class Assembler {
 public:
  Assembler(const Thresholds& thresholds, uint32_t first_free, Packed& packed)
      : thresholds_(thresholds), first_free_(first_free), packed_(packed) {
    for (const RankTable& table : packed.ranks) tables_[table.feature] = &table;
  }

  /// False when the tree has too many leaf values or needs too many slots.
  bool Assemble(const Tree& tree) {
    tree_ = &tree;
    used_ = first_free_;
    known_.clear();
    tests_.assign(tree.size(), 0);
    std::map<uint32_t, uint32_t> codes = NumberLeaves();
    Program program;
    program.first_op = static_cast<uint32_t>(packed_.ops.size());
    program.first_value = static_cast<uint32_t>(values_.size());
    program.planes = static_cast<uint16_t>(std::bit_width(codes.size() - 1));
    if (program.planes > Program::kMostPlanes) return false;
    for (size_t i = 0; i < tree.size(); ++i) {
      if (tree[i].feature >= 0) tests_[i] = Test(tree[i]);
    }
    for (uint32_t plane = 0; plane < program.planes; ++plane) {
      program.code[plane] = static_cast<uint16_t>(Plane(0, plane, codes));
    }
    most_ = std::max(most_, used_);
    if (most_ >= kMostSlots) return false;
    program.ops = static_cast<uint32_t>(packed_.ops.size()) - program.first_op;
    values_.resize(program.first_value + tile::RoundUp(codes.size(), 32));
    for (const auto& [value, code] : codes) values_[program.first_value + code] = value;
    packed_.programs.push_back(program);
    return true;
  }

  void Finish() {
    packed_.slots = most_;
    packed_.values = tile::Aligned<uint32_t>(values_.size());
    std::copy(values_.begin(), values_.end(), packed_.values.data());
  }

 private:
  /// Leaf values in ascending order: neighbours, which meet in one node most often, share their upper bits.
  std::map<uint32_t, uint32_t> NumberLeaves() const {
    std::map<uint32_t, uint32_t> codes;
    for (const TreeNode& node : *tree_) {
      if (node.feature < 0) codes[node.path] = 0;
    }
    uint32_t next = 0;
    for (auto& [value, code] : codes) code = next++;
    return codes;
  }

  uint32_t Emit(uint32_t test, uint32_t zero, uint32_t one) {
    if (zero == one) return zero;
    if (zero == kZeros && one == kOnes) return test;
    if (test == kZeros) return zero;
    const auto [known, is_new] = known_.try_emplace({test, zero, one}, used_);
    if (is_new) {
      packed_.ops.push_back({static_cast<uint16_t>(test), static_cast<uint16_t>(zero), static_cast<uint16_t>(one),
                             static_cast<uint16_t>(used_)});
      ++used_;
    }
    return known->second;
  }

  /// rank > q: of the high parts the greater one decides; where they are equal, the low parts do.
  uint32_t Test(const TreeNode& node) {
    const auto feature = static_cast<uint32_t>(node.feature);
    const RankTable& table = *tables_.at(feature);
    const std::vector<float>& sorted = thresholds_.at(feature);
    const auto q = static_cast<uint32_t>(std::lower_bound(sorted.begin(), sorted.end(), node.threshold) - sorted.begin());
    const uint32_t lows = 1u << table.low_levels, low = q % lows, high = q / lows;
    const uint32_t low_greater = low + 1 == lows ? kZeros : table.first_slot + low;
    if (table.levels == table.low_levels) return low_greater;
    const uint32_t greater = table.first_slot + lows + high;
    if (low_greater == kZeros) return greater;
    return Emit(greater + (1u << (table.levels - table.low_levels)), greater, low_greater);
  }

  uint32_t Plane(size_t at, uint32_t plane, const std::map<uint32_t, uint32_t>& codes) {
    const TreeNode& node = (*tree_)[at];
    if (node.feature < 0) return (codes.at(node.path) >> plane & 1) != 0 ? kOnes : kZeros;
    const uint32_t zero = Plane(node.left, plane, codes), one = Plane(node.right, plane, codes);
    return Emit(tests_[at], zero, one);
  }

  const Thresholds& thresholds_;
  const uint32_t first_free_;
  Packed& packed_;
  std::map<uint32_t, const RankTable*> tables_;
  const Tree* tree_ = nullptr;
  uint32_t used_ = 0, most_ = 0;
  std::map<std::tuple<uint32_t, uint32_t, uint32_t>, uint32_t> known_;
  std::vector<uint32_t> tests_, values_;
};

bool Build(const std::vector<Tree>& trees, Packed& packed) {
  for (const Tree& tree : trees) {
    if (Depth(tree) > kMostDepth) return false;
  }
  const Thresholds thresholds = CollectThresholds(trees);
  const uint32_t first_free = BuildTables(thresholds, packed);
  if (first_free == 0) return false;
  Assembler assembler(thresholds, first_free, packed);
  for (const Tree& tree : trees) {
    if (!assembler.Assemble(tree)) return false;
  }
  assembler.Finish();
  return true;
}

}  // namespace

bool PackPrograms(const std::vector<Tree>& trees, Packed& packed) {
  if (Build(trees, packed)) return true;
  packed.ranks.clear();
  packed.pivots = {};
  packed.ops.clear();
  packed.programs.clear();
  packed.slots = 0;
  return false;
}

}  // namespace driftseal::kernels::forest
