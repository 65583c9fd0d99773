// Walks trees of few levels, one row after the other. Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_FOREST_SHALLOW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_FOREST_SHALLOW_INL_H_
#undef DRIFTSEAL_KERNELS_FOREST_SHALLOW_INL_H_
#else
#define DRIFTSEAL_KERNELS_FOREST_SHALLOW_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "kernels/forest/forest.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::forest::HWY_NAMESPACE {

/// Where the row at `x` (feature f at x[64 f]) leaves each of the blocks. All of them go down a level together: no
/// branch depends on data, and while one waits for its node another goes on.
template <size_t kTrees>
HWY_INLINE void GoDown(const ShallowBlock* const (&blocks)[kTrees], const float* HWY_RESTRICT x,
                       uint32_t (&ends)[kTrees]) {
  std::fill_n(ends, kTrees, 0u);
  for (size_t level = 0; level < ShallowBlock::kLevels; ++level) {
    for (size_t t = 0; t < kTrees; ++t) {
      const ShallowBlock& block = *blocks[t];
      const bool right = !(x[block.offset[ends[t]]] <= block.threshold[ends[t]]);
      ends[t] = 2 * ends[t] + 1 + static_cast<uint32_t>(right);
    }
  }
  for (uint32_t& end : ends) end -= ShallowBlock::kEnds - 1;
}

/// Sum of the values of the leaves that the row reaches in the trees from `tree` on.
template <size_t kTrees>
HWY_INLINE uint32_t WalkShallow(const Packed& forest, size_t tree, const float* HWY_RESTRICT x) {
  const ShallowBlock* upper = forest.shallow.data() + tree;
  const ShallowBlock* lower = forest.shallow.data() + forest.trees;
  const uint32_t* values = forest.shallow_values.data();
  const ShallowBlock* blocks[kTrees];
  uint32_t ends[kTrees];
  for (size_t t = 0; t < kTrees; ++t) blocks[t] = upper + t;
  GoDown(blocks, x, ends);
  for (size_t t = 0; t < kTrees; ++t) blocks[t] = lower + blocks[t]->next[ends[t]];
  GoDown(blocks, x, ends);
  uint32_t sum = 0;
  for (size_t t = 0; t < kTrees; ++t) sum += values[blocks[t]->next[ends[t]]];
  return sum;
}

/// Path sums of a tile's rows into `sums` (kTileRows). All rows pass through a few trees before the next ones, whose
/// blocks then are in the first cache.
inline void SumShallow(const Packed& forest, const tile::Tile& tile, uint32_t* HWY_RESTRICT sums) {
  constexpr size_t kTrees = 8;  // Measured: 4 wait longer, of 20 the places do not fit into registers.
  std::fill_n(sums, tile.rows, 0u);
  for (size_t t = 0; t < forest.trees;) {
    const bool many = forest.trees - t >= kTrees;
    for (size_t r = 0; r < tile.rows; ++r) {
      const float* x = tile.block(r / kBlockRows) + r % kBlockRows;
      sums[r] += many ? WalkShallow<kTrees>(forest, t, x) : WalkShallow<1>(forest, t, x);
    }
    t += many ? kTrees : 1;
  }
}

}  // namespace driftseal::kernels::forest::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
