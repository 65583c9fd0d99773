// Walks trees: rows in lanes, or one row after the other where there are few.
// Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_FOREST_WALK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_FOREST_WALK_INL_H_
#undef DRIFTSEAL_KERNELS_FOREST_WALK_INL_H_
#else
#define DRIFTSEAL_KERNELS_FOREST_WALK_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <bit>

#include "kernels/forest/forest.h"
#include "kernels/forest/ranks-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::forest::HWY_NAMESPACE {

/// Sum of the values of the leaves that the row at `x` reaches in so many trees, `levels` deep at most. All of them go
/// down a level together, and stay where they are at a leaf: no branch depends on data, and while one waits for its
/// node another goes on.
template <size_t kTrees>
HWY_INLINE uint32_t WalkTogether(const Packed& forest, const uint32_t* HWY_RESTRICT roots, uint32_t levels,
                                 const float* HWY_RESTRICT x) {
  const uint32_t shift = forest.feature_shift, mask = (1u << shift) - 1;
  const WalkNode* nodes = forest.walk_nodes.data();
  uint32_t at[kTrees];
  std::copy_n(roots, kTrees, at);
  for (uint32_t level = 0; level < levels; ++level) {
    for (size_t t = 0; t < kTrees; ++t) {
      const WalkNode node = nodes[at[t]];
      const uint32_t feature = (node.next & ~WalkNode::kLeaf) >> shift;
      const bool right = !(x[feature * kBlockRows] <= std::bit_cast<float>(node.value));
      const uint32_t child = roots[t] + (node.next & mask) + static_cast<uint32_t>(right);
      const uint32_t leaf = 0 - (node.next >> 31);  // all bits, or none
      at[t] = (at[t] & leaf) | (child & ~leaf);
    }
  }
  uint32_t sum = 0;
  for (size_t t = 0; t < kTrees; ++t) sum += nodes[at[t]].value;
  return sum;
}

/// One tree, however deep it is in places.
HWY_INLINE uint32_t WalkAlone(const Packed& forest, uint32_t root, const float* HWY_RESTRICT x) {
  const uint32_t shift = forest.feature_shift, mask = (1u << shift) - 1;
  const WalkNode* tree = forest.walk_nodes.data() + root;
  const WalkNode* node = tree;
  while (node->next < WalkNode::kLeaf) {
    const bool left = x[(node->next >> shift) * kBlockRows] <= std::bit_cast<float>(node->value);
    node = tree + (node->next & mask) + (left ? 0 : 1);
  }
  return node->value;
}

/// Path sum of the row at `x` (feature f at x[64 f]).
inline uint32_t WalkRow(const Packed& forest, const float* HWY_RESTRICT x) {
  // A tree that is one long chain ends early for most rows.
  constexpr uint32_t kMostLevels = 24;
  constexpr size_t kTrees = Packed::kWalkedAtOnce;
  const std::vector<uint32_t>& roots = forest.walk_roots;
  uint32_t sum = 0;
  for (size_t t = 0; t < roots.size(); t += kTrees) {
    const uint32_t levels = forest.walk_levels[t / kTrees];
    if (levels <= kMostLevels && t + kTrees <= roots.size()) {
      sum += WalkTogether<kTrees>(forest, roots.data() + t, levels, x);
      continue;
    }
    for (size_t i = t; i < std::min(t + kTrees, roots.size()); ++i) sum += WalkAlone(forest, roots[i], x);
  }
  return sum;
}

/// Where kAtOnce vectors of rows stand in one tree.
struct Walkers {
  hn::Vec<DI> at[kAtOnce];
};

/// One step down for all that are not at a leaf; false when all are.
HWY_INLINE bool Step(const Packed& forest, const int32_t* HWY_RESTRICT tree, const float* HWY_RESTRICT x,
                     Walkers& walkers) {
  const D d;
  const DI di;
  const hn::RebindToUnsigned<DI> du;
  const auto mask = hn::Set(di, static_cast<int32_t>((1u << forest.feature_shift) - 1));
  const auto lane = hn::Iota(di, 0);
  bool any = false;
  for (size_t n = 0; n < kAtOnce; ++n) {
    const auto twice = hn::Add(walkers.at[n], walkers.at[n]);
    const auto next = hn::GatherIndex(di, tree + 1, twice);
    const auto inner = hn::Gt(next, hn::Set(di, -1));  // kLeaf is the sign
    any = any || !hn::AllFalse(di, inner);
    const auto threshold = hn::BitCast(d, hn::GatherIndex(di, tree, twice));
    const auto feature =
        hn::BitCast(di, hn::ShiftRightSame(hn::BitCast(du, next), static_cast<int>(forest.feature_shift)));
    // A leaf's feature bits hold its flag only: lane n of feature 0 is read, and not used.
    const auto safe = hn::IfThenElseZero(inner, feature);
    const auto offset =
        hn::Add(hn::ShiftLeft<6>(safe), hn::Add(lane, hn::Set(di, static_cast<int32_t>(n * hn::Lanes(d)))));
    const auto right = hn::Not(hn::Le(hn::GatherIndex(d, x, offset), threshold));
    const auto child = hn::Sub(hn::And(next, mask), hn::BitCast(di, hn::VecFromMask(d, right)));
    walkers.at[n] = hn::IfThenElse(inner, child, walkers.at[n]);
  }
  return any;
}

/// Path sums of kAtOnce vectors of rows at `x`.
HWY_INLINE void WalkVectors(const Packed& forest, const float* HWY_RESTRICT x, uint32_t* sums) {
  const DI di;
  VI sum[kAtOnce];
  for (VI& s : sum) s = hn::Zero(di);
  for (uint32_t root : forest.walk_roots) {
    const auto* tree = reinterpret_cast<const int32_t*>(forest.walk_nodes.data() + root);
    Walkers walkers;
    for (VI& at : walkers.at) at = hn::Zero(di);
    while (Step(forest, tree, x, walkers)) {
    }
    for (size_t n = 0; n < kAtOnce; ++n) {
      sum[n] = hn::Add(sum[n], hn::GatherIndex(di, tree, hn::Add(walkers.at[n], walkers.at[n])));
    }
  }
  for (size_t n = 0; n < kAtOnce; ++n) {
    hn::Store(sum[n], di, reinterpret_cast<int32_t*>(sums) + n * hn::Lanes(di));
  }
}

/// So many rows are walked one after the other sooner than in lanes, where nodes are gathered.
inline constexpr size_t kFewRows = 8;

/// Path sums of a tile's rows into `sums` (kTileRows).
HWY_INLINE void SumByWalking(const Packed& forest, const tile::Tile& tile, uint32_t* sums) {
  const size_t step = kAtOnce * hn::Lanes(D());
  for (size_t b = 0; b < tile.blocks(); ++b) {
    const size_t rows = tile.block_rows(b);
    for (size_t r = 0; r < rows; r += step) {
      if (rows - r <= kFewRows) {
        for (size_t i = r; i < rows; ++i) sums[b * kBlockRows + i] = WalkRow(forest, tile.block(b) + i);
      } else {
        WalkVectors(forest, tile.block(b) + r, sums + b * kBlockRows + r);
      }
    }
  }
}

}  // namespace driftseal::kernels::forest::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
