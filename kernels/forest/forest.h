#ifndef DRIFTSEAL_KERNELS_FOREST_FOREST_H_
#define DRIFTSEAL_KERNELS_FOREST_FOREST_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/device/isa.h"
#include "kernels/rows.h"
#include "kernels/tile/tile.h"

// Isolation forest (Liu, Ting, Zhou 2008, "Isolation Forest", ICDM, sections 3 and 4).
namespace driftseal::kernels::forest {

/// One node; a leaf has feature == -1. Rows go left when x <= threshold, compared in float32 as scikit-learn does
/// (a double threshold is rounded towards −inf, which decides every float32 x alike). NaN goes right.
struct Node {
  int32_t feature = -1;
  float threshold = 0;
  int32_t left = -1, right = -1;  ///< Indices into the forest's nodes.
  float path = 0;                 ///< Leaf: depth + c(samples in the leaf).
};

/// Trees as indices of their roots in one array of nodes.
struct Forest {
  std::vector<Node> nodes;
  std::vector<uint32_t> roots;
  uint32_t sample_size = 0;  ///< ψ, the rows each tree was grown on; c(ψ) normalises the path length.
};

/// A path counts as a whole number of 2⁻¹⁶: sums of such numbers do not depend on their order, so every variant reaches
/// exactly the same one. That moves a score by less than 1e-6.
inline constexpr double kPathUnit = 65536;
inline uint32_t FixedPath(float path) { return static_cast<uint32_t>(static_cast<double>(path) * kPathUnit + 0.5); }

/// Why the variants cannot take this forest, or nothing. They ask for trees (children behind their parent, no node with
/// two of them, no threshold that is NaN), for paths that are not negative and whose longest ones sum to less than
/// 65,536 over the trees (1,000 trees of depth 16 reach 40,000), and for trees × features that can be indexed: with
/// 4,096 features, 524,288 nodes a tree.
std::optional<std::string> WhyUnfit(const Forest& forest);

/// c(n), the mean path length of an unsuccessful search in a binary search tree of n nodes (eq. 1): 2H(n−1) − 2(n−1)/n.
double MeanPath(double n);

/// score = 2^(−E[path] / c(ψ)) in (0, 1], paths in kPathUnit; higher is more anomalous (scikit-learn's −score_samples).
/// `out` has rows.rows entries.
void ScoreReference(const Forest& forest, RowsView<float> rows, std::span<double> out);

/// Σ path · kPathUnit over the trees, a row each.
void PathSumsReference(const Forest& forest, RowsView<float> rows, std::span<uint32_t> out);

/// A feature's thresholds, which turn its values into ranks (how many thresholds lie below): comparing ranks decides
/// exactly as comparing values does.
struct RankTable {
  uint32_t feature = 0;
  uint32_t levels = 0;      ///< Of the search tree; it holds 2^levels − 1 thresholds, padded with +inf.
  uint32_t low_levels = 0;  ///< Bits of a rank that the slots from `first_slot` on compare on their own.
  uint32_t pivots = 0;      ///< Where in Packed::pivots the search tree begins, in breadth-first order.
  uint32_t first_slot = 0;
};

/// slot[out] = slot[test] ? slot[one] : slot[zero], bit by bit over the rows of a tile.
struct Op {
  uint16_t test, zero, one, out;
};

/// How to read what a program leaves: the number of the row's leaf value in a tree, bit by bit, in the slots `code`.
struct Leaves {
  static constexpr size_t kMostPlanes = 8;
  static constexpr size_t kTableCodes = 32, kTableBytes = 3 * kTableCodes;
  uint32_t first_value = 0;  ///< In Packed::values.
  /// In Packed::value_bytes: byte k of the value of each code at [32 k]. kNoTable with more codes, or values of 2^24.
  static constexpr uint32_t kNoTable = ~0u;
  uint32_t first_byte = kNoTable;
  uint16_t planes = 0;
  uint16_t code[kMostPlanes] = {};
};

/// A few trees, their operations interleaved, so that one works while another waits.
struct Program {
  static constexpr size_t kMostPlanes = Leaves::kMostPlanes, kTreesAtOnce = 16;
  uint32_t first_op = 0, ops = 0, trees = 0;
  Leaves leaves[kTreesAtOnce];
};

/// One node of a tree to walk: a leaf has kLeaf set in `next` and its path, in kPathUnit, in `value`; an inner node has
/// its threshold's bits in `value`, and in `next` its feature from Packed::feature_shift on and below that its left
/// child, counted from the tree's root (the right one follows the left one).
struct WalkNode {
  static constexpr uint32_t kLeaf = 1u << 31;
  uint32_t value = 0, next = 0;
};

/// Four levels of a tree, every place of them filled: below a leaf that is nearer to the root all ways lead to its
/// value. Two lines of the cache, where a walk of four nodes elsewhere reads up to four.
struct alignas(64) ShallowBlock {
  static constexpr size_t kLevels = 4, kEnds = size_t{1} << kLevels;
  float threshold[kEnds] = {};  ///< In breadth-first order; the last one is not used.
  uint16_t offset[kEnds] = {};  ///< 64 · feature: where a value stands in a block of a tile.
  uint16_t next[kEnds] = {};    ///< What its ends lead to: a block of the lower levels, or a leaf value.
};

/// A forest as the fast variants read it. Immutable.
struct Packed {
  size_t trees = 0, cols = 0;  ///< cols: the largest feature + 1.
  double norm = 0;             ///< c(ψ) · trees · kPathUnit; 0: every row scores 0.5.
  bool bit_sliced = false;     ///< Whether tiles run the programs; otherwise they walk.
  size_t slots = 0;            ///< Of 512 bits each.
  std::vector<RankTable> ranks;
  tile::Aligned<float> pivots;
  std::vector<Op> ops;
  std::vector<Program> programs;
  tile::Aligned<uint32_t> values;  ///< Leaf values of each tree, 32 at least.
  tile::Aligned<uint8_t> value_bytes;
  static constexpr size_t kWalkedAtOnce = 16;
  std::vector<uint32_t> walk_roots;
  std::vector<uint32_t> walk_levels;  ///< Splits above the deepest leaf of trees [16 i, 16 i + 16).
  uint32_t feature_shift = 0;
  tile::Aligned<WalkNode> walk_nodes;
  /// Where no tree is deeper than eight levels, otherwise empty: the upper four of each tree, then the lower ones,
  /// those that come to one value shared by all trees.
  std::vector<ShallowBlock> shallow;
  std::vector<uint32_t> shallow_values;
  size_t fewest_sliced_rows = 0;  ///< Fewer walk, where trees are shallow.
};

enum class Strategy { kCheaper, kBitSliced, kWalk };
/// kBitSliced and kWalk are for tests and benchmarks; kBitSliced falls back to walking where a forest does not fit it.
Packed Pack(const Forest& forest, Strategy strategy = Strategy::kCheaper);

/// Bytes that the kernels below work in.
size_t WorkspaceSize(const Packed& forest);

/// Path sums as PathSumsReference, equal to the bit, and scores within 2e-6·score + 1e-37 of ScoreReference; tile.cols
/// >= forest.cols. Both return the Highway target they were compiled for.
using PathSumKernel = int64_t (*)(const Packed& forest, const tile::Tile& tile, tile::Workspace workspace,
                                  uint32_t* out);
using TileKernel = int64_t (*)(const Packed& forest, const tile::Tile& tile, tile::Workspace workspace, float* out);
PathSumKernel SimdPathSums(const device::Isa& isa);
TileKernel SimdKernel(const device::Isa& isa);

struct FitOptions {
  uint32_t trees = 200;
  uint32_t sample_size = 256;  ///< Capped at the number of rows.
  uint64_t seed = 1;
  size_t threads = 1;  ///< 0: all cores.
};
/// Grows a forest; deterministic in the seed on every platform and for any number of threads. Needs rows.rows >= 2 and
/// finite values.
Forest Fit(RowsView<float> rows, const FitOptions& options);

}  // namespace driftseal::kernels::forest

#endif  // DRIFTSEAL_KERNELS_FOREST_FOREST_H_
