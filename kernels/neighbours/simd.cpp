#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/neighbours/neighbours.h"
#include "kernels/neighbours/select.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/neighbours/simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/device/dispatch.h"
#include "kernels/neighbours/filter-inl.h"
#include "kernels/neighbours/grid-inl.h"
#include "kernels/neighbours/queries-inl.h"
#include "kernels/neighbours/refine-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::neighbours::HWY_NAMESPACE {

// The least value of a candidate where the k-th largest is `kth`, for x'·s' − ‖s'‖²/2 in float32, unit roundoff v =
// 2^-24, n columns, R = max ‖s'‖. A value is off by at most (n + 2)·v·‖x'‖·R + v·R²; x' and s' are off by v·(‖x'‖ + R)
// from x and s, which a squared distance of at most (‖x'‖ + R)² feels 4 times over, and so its half twice.
HWY_INLINE float ProductThreshold(const Packed& model, float squared_norm, float kth) {
  constexpr float kRoundoff = 0x1p-24F;
  const float x = std::sqrt(squared_norm), longest = model.largest_norm;
  const float n = static_cast<float>(model.cols);
  const float value_error = (n + 4) * kRoundoff * x * longest + 2 * kRoundoff * longest * longest;
  const float shift = 4 * kRoundoff * (x + longest) * (x + longest);
  return kth - 2 * value_error - shift - 1e-6F * std::abs(kth);
}

template <size_t J>
HWY_INLINE void ScoreByProduct(const Packed& model, const tile::Tile& tile, const uint16_t* rows, size_t count,
                               Memory& memory, float* out) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  constexpr size_t kWide = 4;
#else
  constexpr size_t kWide = 2;
#endif
  const size_t padded = tile::RoundUp(model.rows, kBlockRows);
  std::array<float, J> norms = {};
  for (size_t j = 0; j < count; ++j) {
    const float* values = tile.block(rows[j] / kBlockRows) + rows[j] % kBlockRows;
    for (size_t c = 0; c < model.cols; ++c) {
      const float centred = values[c * kBlockRows] - model.centre[c];
      memory.centred[c * kBlockRows + j] = centred;
      norms[j] += centred * centred;
    }
  }
  ProductValues<J, kWide>(model, memory.centred, memory.values, memory.product_maxima.data());
  for (size_t j = 0; j < count; ++j) {
    if (!(norms[j] < 1e36F)) continue;
    const float kth = KthValue(model, memory.values + j * padded, model.rows,
                               memory.product_maxima.data() + j * kMaxima, reinterpret_cast<float*>(memory.squares));
    const float threshold = ProductThreshold(model, norms[j], kth);
    size_t found = FindPlaces(memory.values + j * padded, padded, threshold, memory.rows);
    while (found > 0 && memory.rows[found - 1] >= model.rows) --found;
    double* x = memory.batch.queries[0].x;
    LoadRow(model, tile, rows[j], x);
    SquareAll(model, x, memory.rows, found, memory.squares);
    out[rows[j]] = static_cast<float>(NearestOf(model, found, memory.squares).score);
    memory.stages[rows[j]] = kDone;
  }
}

// Against every reference row: squares that overflow a float.
HWY_INLINE void ScoreByAll(const Packed& model, const tile::Tile& tile, size_t row, Memory& memory, float* out) {
  for (size_t i = 0; i < model.rows; ++i) memory.rows[i] = static_cast<uint32_t>(i);
  double* x = memory.batch.queries[0].x;
  LoadRow(model, tile, row, x);
  SquareAll(model, x, memory.rows, model.rows, memory.squares);
  out[row] = static_cast<float>(NearestOf(model, model.rows, memory.squares).score);
}

// The rows of a stage, into memory.order; returns how many. They go on to the stage `next`.
HWY_INLINE size_t Collect(const tile::Tile& tile, size_t stage, size_t next, Memory& memory) {
  size_t count = 0;
  for (size_t r = 0; r < tile.rows; ++r) {
    memory.order[count] = static_cast<uint16_t>(r);
    if (memory.stages[r] != stage) continue;
    memory.stages[r] = static_cast<uint8_t>(next);
    ++count;
  }
  return count;
}

// The stage of each row of a tile to begin with.
HWY_INLINE void FindStages(const Packed& model, const tile::Tile& tile, Memory& memory, float* out) {
  const bool product = model.largest_norm < 1e18F;
  const Stage first = kHasGrid && model.levels ? kWhole : product ? kProduct : kAll;
  for (size_t r = 0; r < tile.rows; ++r) {
    const bool finite = tile.finite[r] == 0;
    memory.stages[r] = finite ? first : kDone;
    if (!finite) out[r] = std::numeric_limits<float>::quiet_NaN();
  }
}

#if DRIFTSEAL_NEIGHBOURS_GRID
// For each row its nearest home, unless it is too far out for its grid, and how near it is to which other home. Only
// speed depends on it.
HWY_INLINE void FindHomes(const Packed& model, const tile::Tile& tile, Memory& memory) {
  const D d;
  const size_t lanes = hn::Lanes(d), homes = model.frames.size() - 1;
  for (size_t r = 0; r < tile.rows; r += lanes) {
    const float* values = tile.block(r / kBlockRows) + r % kBlockRows;
    V least = hn::Set(d, std::numeric_limits<float>::max()), second = least;
    V home = hn::Zero(d), other = home;
    for (size_t h = 0; h < homes; ++h) {
      const float* centre = model.frames[h + 1].centre.data();
      V squared = hn::Zero(d);
      for (size_t c = 0; c < model.cols; ++c) {
        const V difference = hn::Sub(hn::Load(d, values + c * kBlockRows), hn::Set(d, centre[c]));
        squared = hn::MulAdd(difference, difference, squared);
      }
      const V number = hn::Set(d, static_cast<float>(h));
      const auto nearer = hn::Lt(squared, least), next = hn::Lt(squared, second);
      other = hn::IfThenElse(nearer, home, hn::IfThenElse(next, number, other));
      second = hn::IfThenElse(nearer, least, hn::Min(second, squared));
      home = hn::IfThenElse(nearer, number, home);
      least = hn::Min(least, squared);
    }
    alignas(tile::kAlignment) std::array<float, 16> squares, margins, numbers, others;
    hn::Store(least, d, squares.data());
    const V sixteenths = hn::Mul(hn::Set(d, 16), hn::Sub(second, least));
    hn::Store(hn::Div(sixteenths, hn::Add(second, least)), d, margins.data());
    hn::Store(home, d, numbers.data());
    hn::Store(other, d, others.data());
    for (size_t i = 0; i < std::min(lanes, tile.rows - r); ++i) {
      const auto h = static_cast<size_t>(numbers[i]);
      const Frame& frame = model.frames[h + 1];
      const float reach = frame.reach[0] / frame.inverse_unit + frame.rest_centre;
      const float margin = margins[i] >= 0 ? std::min(margins[i], 15.0F) : 0;
      memory.nearness[r + i] = static_cast<uint8_t>(static_cast<size_t>(others[i]) * 16 + static_cast<size_t>(margin));
      if (memory.stages[r + i] == kWhole && squares[i] <= reach * reach) {
        memory.stages[r + i] = static_cast<uint8_t>(h);
      }
    }
  }
}

// Orders a home's rows by their nearness to others, so that those that are filtered at once need the same of them.
HWY_INLINE void SortByNearness(size_t count, Memory& memory) {
  std::array<uint16_t, 257> first = {};
  std::array<uint16_t, tile::kTileRows> rows;
  std::copy_n(memory.order, count, rows.begin());
  for (size_t i = 0; i < count; ++i) ++first[memory.nearness[rows[i]] + 1U];
  for (size_t i = 1; i < first.size(); ++i) first[i] = static_cast<uint16_t>(first[i] + first[i - 1]);
  for (size_t i = 0; i < count; ++i) memory.order[first[memory.nearness[rows[i]]]++] = rows[i];
}

HWY_INLINE void ScoreByGrids(const Packed& model, const tile::Tile& tile, bool vnni, Memory& memory, float* out) {
  if (model.frames.size() > 1) FindHomes(model, tile, memory);
  for (size_t h = 1; h < model.frames.size(); ++h) {
    const size_t count = Collect(tile, h - 1, kWhole, memory);
    if (count > kMostQueries) SortByNearness(count, memory);
    ScoreByFrame(model, model.frames[h], 0, tile, count, vnni, memory, out);
  }
  for (size_t c = 0; c < kCoarser; ++c) {
    const size_t count = Collect(tile, kWhole + c, kWhole + c + 1, memory);
    ScoreByFrame(model, model.frames[0], c, tile, count, vnni, memory, out);
  }
}
#endif

// What no grid holds.
HWY_INLINE void ScoreRest(const Packed& model, const tile::Tile& tile, Memory& memory, float* out) {
  const size_t count = Collect(tile, kProduct, kAll, memory);
  for (size_t i = 0; i < count && model.largest_norm < 1e18F; i += 4) {
    if (i + 1 == count) {
      ScoreByProduct<1>(model, tile, memory.order + i, 1, memory, out);
    } else {
      ScoreByProduct<4>(model, tile, memory.order + i, std::min<size_t>(4, count - i), memory, out);
    }
  }
  for (size_t r = 0; r < tile.rows; ++r) {
    if (memory.stages[r] == kAll) ScoreByAll(model, tile, r, memory, out);
  }
}

HWY_INLINE int64_t ScoreTile(const Packed& model, const tile::Tile& tile, tile::Workspace workspace, float* out,
                             [[maybe_unused]] bool vnni) {
  Memory memory;
  LayOut(model, workspace, memory);
  FindStages(model, tile, memory, out);
#if DRIFTSEAL_NEIGHBOURS_GRID
  if (model.levels) ScoreByGrids(model, tile, vnni, memory, out);
#endif
  ScoreRest(model, tile, memory, out);
  return HWY_TARGET;
}

int64_t Score(const Packed& model, const tile::Tile& tile, tile::Workspace workspace, float* out) {
  return ScoreTile(model, tile, workspace, out, false);
}
int64_t ScoreVnni(const Packed& model, const tile::Tile& tile, tile::Workspace workspace, float* out) {
  return ScoreTile(model, tile, workspace, out, HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL);
}

}  // namespace driftseal::kernels::neighbours::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace driftseal::kernels::neighbours {
HWY_EXPORT(Score);
HWY_EXPORT(ScoreVnni);
TileKernel SimdKernel(const device::Isa& isa) {
  if (VnniGridValues(1) != nullptr) return DRIFTSEAL_KERNEL_FOR(ScoreVnni, isa);
  return PlainSimdKernel(isa);
}
TileKernel PlainSimdKernel(const device::Isa& isa) { return DRIFTSEAL_KERNEL_FOR(Score, isa); }
}  // namespace driftseal::kernels::neighbours
#endif
