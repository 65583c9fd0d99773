// Rows filtered on the grid of one frame, then refined. Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_NEIGHBOURS_GRID_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_NEIGHBOURS_GRID_INL_H_
#undef DRIFTSEAL_KERNELS_NEIGHBOURS_GRID_INL_H_
#else
#define DRIFTSEAL_KERNELS_NEIGHBOURS_GRID_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/neighbours/filter-inl.h"
#include "kernels/neighbours/neighbours.h"
#include "kernels/neighbours/queries-inl.h"
#include "kernels/neighbours/refine-inl.h"
#include "kernels/neighbours/select.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::neighbours::HWY_NAMESPACE {

#if DRIFTSEAL_NEIGHBOURS_GRID
// The least value of a row within `distance`, which is exact.
HWY_INLINE int LeastWithin(const Frame& frame, size_t coarser, const Query& query, double distance) {
  const auto units = static_cast<float>(distance * static_cast<double>(frame.inverse_unit) * (1 + 1e-6));
  return LeastValue(units + query.error, static_cast<float>(1 << 2 * coarser));
}

// Own candidates, squared, and T. Any k rows give a T that is large enough; those that look nearest are a good guess.
// So the candidates are first looked for within what T is likely to be, from the k-th least grid distance G, and again
// in the few cases in which T turns out to be larger.
HWY_INLINE void FindOwn(const Packed& model, const Frame& frame, size_t coarser, GridFind find, Query& query,
                        Memory& memory) {
  const size_t places = GridPlaces(frame.own);
  const int16_t* values = query.results.values;
  const int kth = KthValue(model, values, places, query.results.maxima, reinterpret_cast<int16_t*>(memory.squares));
  const auto coarse = static_cast<float>(1 << 2 * coarser);
  const float nearest = std::sqrt(2 * coarse * static_cast<float>(kTop + 1 - kth));
  // As far away as what fills up the last block, or further, a value says nothing. Where G + 2ε is too
  // much, only the k that look nearest are measured at first.
  query.least = -32768;
  if (kth > query.filling + 1) {
    query.least = frame.in_steps || coarser > 0 ? kth : LeastValue(nearest * 1.0001F + 2 * query.error, 1);
  }
  const size_t count = find(values, places, static_cast<int16_t>(query.least), query.rows);
  query.count = RowsAt(model, frame, count, query.rows);
}

// T from them.
HWY_INLINE void RefineOwn(const Packed& model, const Frame& frame, size_t coarser, GridFind find, Query& query,
                          Memory& memory) {
  const auto refine = [&] {
    if (&frame == model.frames.data()) {
      for (size_t row = model.regular; row < model.rows; ++row) query.rows[query.count++] = static_cast<uint32_t>(row);
    }
    SquareAll(model, query.x, query.rows, query.count, memory.squares);
    query.nearest = NearestOf(model, query.count, memory.squares);
    const auto units = static_cast<float>(query.nearest.kth * static_cast<double>(frame.inverse_unit) * (1 + 1e-6));
    return LeastValue(units + query.error, static_cast<float>(1 << 2 * coarser));
  };
  int least = refine();
  if (least < query.least) {
    const size_t places = GridPlaces(frame.own);
    const size_t count = find(query.results.values, places, static_cast<int16_t>(least), query.rows);
    query.count = RowsAt(model, frame, count, query.rows);
    least = refine();
  }
  query.least = least;
  query.own = query.count;
}

// The largest coordinate along a segment's direction that a row within T of one of a batch may have.
HWY_INLINE double FurthestKey(const Frame& frame, size_t segment, const Batch& batch) {
  double furthest = std::numeric_limits<double>::lowest();
  for (size_t j = 0; j < batch.count; ++j) {
    const Query& query = batch.queries[j];
    if (!query.fits) continue;
    const double error = 1.01 * static_cast<double>(frame.key_error) * static_cast<double>(query.length);
    const double key = static_cast<double>(query.y[frame.axes + segment]);
    furthest = std::max(furthest, key + query.nearest.kth * (1 + 1e-9) + error);
  }
  return furthest;
}

// Candidates among the rows of other homes.
HWY_INLINE void FindBeyond(const Packed& model, const Frame& frame, const GridQueries& grid, GridMatches matches,
                           Memory& memory) {
  Batch& batch = memory.batch;
  alignas(tile::kAlignment) std::array<int32_t, kMostQueries> least;
  least.fill(0x7FFF7FFF);
  for (size_t j = 0; j < batch.count; ++j) {
    const Query& query = batch.queries[j];
    if (query.fits) least[j] = static_cast<int32_t>(static_cast<uint32_t>(query.least & 0xFFFF) * 0x10001U);
  }
  for (size_t s = 0; s < frame.segments.size(); ++s) {
    const Frame::Segment& segment = frame.segments[s];
    const double furthest = FurthestKey(frame, s, batch);
    size_t blocks = 0;
    while (blocks < segment.blocks && static_cast<double>(frame.least[segment.first + blocks]) <= furthest) ++blocks;
    if (blocks == 0) continue;
    matches(frame, grid, segment.first, blocks, {least.data(), memory.masks, memory.mask_stride});
    for (size_t j = 0; j < batch.count; ++j) {
      Query& query = batch.queries[j];
      if (!query.fits) continue;
      query.count += FindMatches(model, frame, segment.first, blocks, memory.masks + j * memory.mask_stride,
                                 query.rows + query.count);
    }
  }
}

// Step by step for all rows, so that reference rows arrive from memory while other rows' are looked for.
HWY_INLINE void ScoreByGrid(const Packed& model, const Frame& frame, size_t coarser, bool vnni, Memory& memory,
                            float* out) {
  Batch& batch = memory.batch;
  const size_t at_once = batch.count == 1 ? 1 : batch.count <= 4 || !vnni ? 4 : kMostQueries;
  const GridQueries grid = {batch.levels, batch.constants.data(), static_cast<int>(2 * coarser)};
  const GridFind find = GridFindFor(vnni);
  GridValuesFor(at_once, vnni)(frame, grid, batch.queries[0].results);
  const auto each = [&](const auto& step) {
    for (size_t j = 0; j < batch.count; ++j) {
      if (batch.queries[j].fits) step(batch.queries[j]);
    }
  };
  each([&](Query& query) { FindOwn(model, frame, coarser, find, query, memory); });
  each([&](Query& query) { RefineOwn(model, frame, coarser, find, query, memory); });
  if (!frame.segments.empty()) FindBeyond(model, frame, grid, GridMatchesFor(at_once, vnni), memory);
  each([&](Query& query) {
    if (query.count > query.own) {
      SquareAll(model, query.x, query.rows, query.count, memory.squares);
      query.nearest = NearestOf(model, query.count, memory.squares);
    }
    out[query.row] = static_cast<float>(query.nearest.score);
    memory.stages[query.row] = kDone;
  });
}

// Rows memory.order[0 .. count), all to be filtered by one frame.
HWY_INLINE void ScoreByFrame(const Packed& model, const Frame& frame, size_t coarser, const tile::Tile& tile,
                             size_t count, bool vnni, Memory& memory, float* out) {
  const size_t most = vnni ? kMostQueries : 4;
  for (size_t first = 0; first < count; first += most) {
    Batch& batch = memory.batch;
    batch.count = std::min(most, count - first);
    for (size_t j = 0; j < batch.count; ++j) {
      Query& query = batch.queries[j];
      query.row = memory.order[first + j];
    }
    if (PlaceBatch(model, frame, coarser, tile, memory.row_floats, batch))
      ScoreByGrid(model, frame, coarser, vnni, memory, out);
  }
}
#endif

}  // namespace driftseal::kernels::neighbours::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
