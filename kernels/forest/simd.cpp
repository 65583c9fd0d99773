#include <algorithm>

#include "kernels/forest/forest.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/forest/simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/device/dispatch.h"
#include "kernels/forest/program-inl.h"
#include "kernels/forest/shallow-inl.h"
#include "kernels/forest/walk-inl.h"
#include "kernels/tile/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::forest::HWY_NAMESPACE {

// A program costs the same for one row as for a tile, and so does walking with rows in the lanes; walking one by one is
// cheaper than both for few rows (measured, see README.md).
HWY_INLINE size_t FewestSlicedRows(const Packed& forest) {
  if (!forest.shallow.empty()) return forest.fewest_sliced_rows;
  return hn::Lanes(D()) >= 8 ? kFewRows + 1 : 24;
}

int64_t SumPaths(const Packed& forest, const tile::Tile& tile, tile::Workspace workspace, uint32_t* out) {
  tile::Arena arena(workspace);
  uint32_t* sums = arena.Take<uint32_t>(kTileRows);
  if (forest.bit_sliced && tile.rows >= FewestSlicedRows(forest)) {
    SumBySlices(forest, tile, arena, sums);
  } else if (!forest.shallow.empty()) {
    SumShallow(forest, tile, sums);
  } else {
    SumByWalking(forest, tile, sums);
  }
  std::copy_n(sums, tile.rows, out);
  return HWY_TARGET;
}

int64_t Score(const Packed& forest, const tile::Tile& tile, tile::Workspace workspace, float* out) {
  tile::Arena arena(workspace);
  float* scores = arena.Take<float>(kTileRows);
  // Where the sums land as well: each is read before its score is written.
  auto* sums = reinterpret_cast<uint32_t*>(scores);
  SumPaths(forest, tile, workspace, sums);
  const D d;
  const DI di;
  const V scale = hn::Set(d, forest.norm > 0 ? static_cast<float>(-1 / forest.norm) : 0.0F);
  const V half = hn::Set(d, 0.5F);
  for (size_t r = 0; r < tile.rows; r += hn::Lanes(d)) {
    // Sums stay below 2^31: WhyUnfit.
    const V path = hn::ConvertTo(d, hn::Load(di, reinterpret_cast<const int32_t*>(sums) + r));
    const V score = forest.norm > 0 ? tile::HWY_NAMESPACE::Exp2(hn::Mul(path, scale)) : half;
    hn::Store(score, d, scores + r);
  }
  std::copy_n(scores, tile.rows, out);
  return HWY_TARGET;
}

}  // namespace driftseal::kernels::forest::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace driftseal::kernels::forest {

size_t WorkspaceSize(const Packed& forest) {
  constexpr size_t kSlotBytes = tile::kTileRows / 8, kPlanes = 16;
  return tile::Bytes<uint32_t>(tile::kTileRows) + tile::Bytes<uint16_t>(3 * tile::kTileRows) +
         (forest.slots + kPlanes) * kSlotBytes;
}

HWY_EXPORT(SumPaths);
HWY_EXPORT(Score);
PathSumKernel SimdPathSums(const device::Isa& isa) { return DRIFTSEAL_KERNEL_FOR(SumPaths, isa); }
TileKernel SimdKernel(const device::Isa& isa) { return DRIFTSEAL_KERNEL_FOR(Score, isa); }

}  // namespace driftseal::kernels::forest
#endif
