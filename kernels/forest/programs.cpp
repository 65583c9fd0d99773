#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <map>
#include <span>
#include <utility>

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

/// An operation on values, which are numbered from `first_free` on; smaller numbers are the slots of the tables.
struct Step {
  uint32_t test, zero, one, out;
};
using Planes = std::array<uint32_t, Program::kMostPlanes>;

/// One tree as steps that leave its leaf's code in `code`.
class TreeCompiler {
 public:
  TreeCompiler(const Tree& tree, const Thresholds& thresholds, const std::map<uint32_t, RankTable>& tables,
               uint32_t first_value)
      : tree_(tree), thresholds_(thresholds), tables_(tables), next_(first_value) {
    for (const TreeNode& node : tree) {
      if (node.feature < 0) codes_[node.path] = 0;
    }
    // Gray's code of the values in order: neighbours, which meet in one node most often, differ in one bit.
    uint32_t number = 0;
    for (auto& [value, code] : codes_) code = number ^ (number >> 1), ++number;
    planes_ = static_cast<uint32_t>(std::bit_width(codes_.size() - 1));
    sizes_.assign(tree.size(), 1);
    for (size_t i = tree.size(); i-- > 0;) {
      if (tree[i].feature >= 0) sizes_[i] += sizes_[tree[i].left] + sizes_[tree[i].right];
    }
  }

  uint32_t planes() const { return planes_; }
  uint32_t next_value() const { return next_; }
  const std::map<uint32_t, uint32_t>& codes() const { return codes_; }
  const std::vector<Step>& steps() const { return steps_; }
  Planes Compile() { return Compile(0); }

 private:
  Planes Compile(uint32_t at) {
    const TreeNode& node = tree_[at];
    Planes planes{};
    if (node.feature < 0) {
      for (uint32_t p = 0; p < planes_; ++p) planes[p] = (codes_.at(node.path) >> p & 1) != 0 ? kOnes : kZeros;
      return planes;
    }
    // The larger side first: fewer values wait for their parent (Sethi, Ullman 1970).
    Planes zero, one;
    if (sizes_[node.left] >= sizes_[node.right]) {
      zero = Compile(node.left), one = Compile(node.right);
    } else {
      one = Compile(node.right), zero = Compile(node.left);
    }
    const uint32_t test = Test(node);
    known_from_ = steps_.size();
    for (uint32_t p = 0; p < planes_; ++p) planes[p] = Emit(test, zero[p], one[p]);
    return planes;
  }

  /// rank > q: of the high parts the greater one decides; where they are equal, the low parts do.
  uint32_t Test(const TreeNode& node) {
    const auto feature = static_cast<uint32_t>(node.feature);
    const RankTable& table = tables_.at(feature);
    const std::vector<float>& sorted = thresholds_.at(feature);
    const auto found = std::lower_bound(sorted.begin(), sorted.end(), node.threshold);
    const auto q = static_cast<uint32_t>(found - sorted.begin());
    const uint32_t lows = 1u << table.low_levels, low = q % lows, high = q / lows;
    const uint32_t low_greater = low + 1 == lows ? kZeros : table.first_slot + low;
    if (table.levels == table.low_levels) return low_greater;
    const uint32_t greater = table.first_slot + lows + 2 * high, equal = greater + 1;
    return Emit(equal, greater, low_greater);
  }

  uint32_t Emit(uint32_t test, uint32_t zero, uint32_t one) {
    if (zero == one || test == kZeros) return zero;
    if (zero == kZeros && one == kOnes) return test;
    for (size_t i = known_from_; i < steps_.size(); ++i) {
      if (steps_[i].test == test && steps_[i].zero == zero && steps_[i].one == one) return steps_[i].out;
    }
    steps_.push_back({test, zero, one, next_});
    return next_++;
  }

  const Tree& tree_;
  const Thresholds& thresholds_;
  const std::map<uint32_t, RankTable>& tables_;
  uint32_t next_, planes_ = 0;
  std::map<uint32_t, uint32_t> codes_;  // by leaf value
  std::vector<uint32_t> sizes_;
  std::vector<Step> steps_;
  size_t known_from_ = 0;  // Steps of this node begin here: only among them can be two alike.
};

/// Steps of several trees, each list spread evenly: steps of one tree wait for one another's results.
std::vector<Step> Interleave(const std::vector<std::vector<Step>>& lists) {
  std::vector<std::pair<double, const Step*>> order;
  for (const auto& list : lists) {
    for (size_t i = 0; i < list.size(); ++i) {
      order.emplace_back(static_cast<double>(i) / static_cast<double>(list.size()), &list[i]);
    }
  }
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Step> steps;
  for (const auto& [at, step] : order) steps.push_back(*step);
  return steps;
}

/// Gives values slots, and a slot whose value was read for the last time to the next one: few slots stay in the first
/// cache.
class SlotAllocator {
 public:
  SlotAllocator(uint32_t first_free, uint32_t values, const std::vector<Step>& steps,
                const std::vector<uint32_t>& results)
      : first_free_(first_free), next_(first_free), last_use_(values), slots_(values) {
    for (size_t i = 0; i < steps.size(); ++i) {
      for (uint32_t value : {steps[i].test, steps[i].zero, steps[i].one}) last_use_[value] = i;
    }
    for (uint32_t value : results) last_use_[value] = steps.size();
  }

  Op Allocate(const Step& step, size_t index) {
    const Op op{Find(step.test), Find(step.zero), Find(step.one), 0};
    for (uint32_t value : {step.test, step.zero, step.one}) {
      if (value < first_free_ || last_use_[value] != index) continue;
      free_.push_back(slots_[value]);
      last_use_[value] = kFreed;  // Read twice by one step, it is free once.
    }
    uint32_t slot = next_;
    if (free_.empty()) {
      ++next_;
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    slots_[step.out] = slot;
    return {op.test, op.zero, op.one, static_cast<uint16_t>(slot)};
  }
  uint16_t Find(uint32_t value) const { return static_cast<uint16_t>(value < first_free_ ? value : slots_[value]); }
  uint32_t end() const { return next_; }

 private:
  static constexpr size_t kFreed = ~size_t{0};
  const uint32_t first_free_;
  uint32_t next_;
  std::vector<size_t> last_use_;
  std::vector<uint32_t> slots_, free_;
};

class Assembler {
 public:
  Assembler(const Thresholds& thresholds, uint32_t first_free, Packed& packed)
      : thresholds_(thresholds), first_free_(first_free), packed_(packed) {
    for (const RankTable& table : packed.ranks) tables_[table.feature] = table;
  }

  /// One program of up to kTreesAtOnce trees. False when a tree has too many leaf values, or they need too many slots.
  bool Assemble(std::span<const Tree> trees) {
    Program program;
    program.first_op = static_cast<uint32_t>(packed_.ops.size());
    program.trees = static_cast<uint32_t>(trees.size());
    std::vector<std::vector<Step>> lists;
    std::vector<uint32_t> results;
    uint32_t next = first_free_;
    for (size_t t = 0; t < trees.size(); ++t) {
      TreeCompiler compiler(trees[t], thresholds_, tables_, next);
      if (compiler.planes() > Program::kMostPlanes) return false;
      const Planes code = compiler.Compile();
      results.insert(results.end(), code.begin(), code.begin() + compiler.planes());
      program.leaves[t].planes = static_cast<uint16_t>(compiler.planes());
      AddValues(compiler, program.leaves[t]);
      lists.push_back(compiler.steps());
      next = compiler.next_value();
    }
    return Place(Interleave(lists), results, next, program);
  }

  void Finish() {
    packed_.slots = most_;
    packed_.values = tile::Aligned<uint32_t>(values_.size());
    std::copy(values_.begin(), values_.end(), packed_.values.data());
    packed_.value_bytes = tile::Aligned<uint8_t>(bytes_.size());
    std::copy(bytes_.begin(), bytes_.end(), packed_.value_bytes.data());
  }

 private:
  void AddValues(const TreeCompiler& compiler, Leaves& leaves) {
    const size_t first = values_.size();
    values_.resize(first + std::max<size_t>(size_t{1} << compiler.planes(), Leaves::kTableCodes));
    for (const auto& [value, code] : compiler.codes()) values_[first + code] = value;
    leaves.first_value = static_cast<uint32_t>(first);
    if (compiler.planes() > 5 || compiler.codes().rbegin()->first >> 24 != 0) return;
    leaves.first_byte = static_cast<uint32_t>(bytes_.size());
    for (uint32_t k = 0; k < 3; ++k) {
      for (size_t code = 0; code < Leaves::kTableCodes; ++code) {
        bytes_.push_back(static_cast<uint8_t>(values_[first + code] >> (8 * k)));
      }
    }
  }

  bool Place(const std::vector<Step>& steps, const std::vector<uint32_t>& results, uint32_t values, Program& program) {
    SlotAllocator slots(first_free_, values, steps, results);
    for (size_t i = 0; i < steps.size(); ++i) packed_.ops.push_back(slots.Allocate(steps[i], i));
    program.ops = static_cast<uint32_t>(steps.size());
    size_t result = 0;
    for (size_t t = 0; t < program.trees; ++t) {
      for (size_t p = 0; p < program.leaves[t].planes; ++p) program.leaves[t].code[p] = slots.Find(results[result++]);
    }
    most_ = std::max(most_, slots.end());
    packed_.programs.push_back(program);
    return most_ < kMostSlots;
  }

  const Thresholds& thresholds_;
  const uint32_t first_free_;
  Packed& packed_;
  std::map<uint32_t, RankTable> tables_;
  uint32_t most_ = 0;
  std::vector<uint32_t> values_;
  std::vector<uint8_t> bytes_;
};

bool Build(const std::vector<Tree>& trees, Packed& packed) {
  for (const Tree& tree : trees) {
    if (Depth(tree) > kMostDepth) return false;
  }
  const Thresholds thresholds = CollectThresholds(trees);
  const uint32_t first_free = BuildTables(thresholds, packed);
  if (first_free == 0) return false;
  Assembler assembler(thresholds, first_free, packed);
  for (size_t i = 0; i < trees.size(); i += Program::kTreesAtOnce) {
    const size_t count = std::min(Program::kTreesAtOnce, trees.size() - i);
    if (!assembler.Assemble({trees.data() + i, count})) return false;
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
