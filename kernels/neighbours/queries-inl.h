// Rows on their way to the filter in bytes: where each is filtered, its coordinates there, its place on the grid.
// Included once per instruction set from simd.cpp.
#if defined(DRIFTSEAL_KERNELS_NEIGHBOURS_QUERIES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef DRIFTSEAL_KERNELS_NEIGHBOURS_QUERIES_INL_H_
#undef DRIFTSEAL_KERNELS_NEIGHBOURS_QUERIES_INL_H_
#else
#define DRIFTSEAL_KERNELS_NEIGHBOURS_QUERIES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/neighbours/neighbours.h"
#include "kernels/neighbours/refine-inl.h"
#include "kernels/neighbours/select.h"
#include "kernels/tile/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::neighbours::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using tile::kBlockRows;
using tile::HWY_NAMESPACE::D;
using tile::HWY_NAMESPACE::V;

// The grid values are kTop − ‖x° − s°‖²/(2a), off by less than one.
inline constexpr int kTop = 32766;

// A row that is filtered in bytes, among up to kMostQueries at once.
struct Query {
  size_t row = 0;     // of the tile
  bool fits = false;  // whether the frame's grid holds it
  float length = 0;   // ‖x − c‖
  float error = 0;    // ε, in units of the grid
  int filling = 0;    // the value of what fills up
  double* x = nullptr;
  float* z = nullptr;  // x − c
  float* y = nullptr;  // rotated
  GridResults results;
  uint32_t* rows = nullptr;   // candidates
  size_t count = 0, own = 0;  // of them, and of those that are the frame's own
  Nearest nearest;            // T, and the score, as far as they are known
  int least = -32768;         // a candidate's least value
};

// Up to kMostQueries rows that one frame filters at once.
struct Batch {
  std::array<Query, kMostQueries> queries;
  size_t count = 0;
  int32_t* levels = nullptr;  // GridQueries::levels
  alignas(tile::kAlignment) std::array<int32_t, kMostQueries> constants;
};

HWY_INLINE void LoadRow(const Packed& model, const tile::Tile& tile, size_t row, double* x) {
  const float* values = tile.block(row / kBlockRows) + row % kBlockRows;
  for (size_t c = 0; c < model.cols; ++c) x[c] = values[c * kBlockRows];
}

// The same, and z.
HWY_INLINE void LoadCentred(const Packed& model, const Frame& frame, const tile::Tile& tile, Query& query) {
  const float* values = tile.block(query.row / kBlockRows) + query.row % kBlockRows;
  for (size_t c = 0; c < model.cols; ++c) {
    const float value = values[c * kBlockRows];
    query.x[c] = value;
    query.z[c] = value - frame.centre[c];
  }
}

// N vectors of the rotated coordinates of J rows, from coordinate `at` on; rows are `stride` floats apart.
template <size_t J, size_t N>
HWY_INLINE void RotateSome(const Frame& frame, size_t cols, const float* HWY_RESTRICT z, size_t stride, size_t at,
                           float* HWY_RESTRICT y) {
  const D d;
  const size_t lanes = hn::Lanes(d);
  auto sums = tile::HWY_NAMESPACE::Zeros<J, N, float>();
  const float* HWY_RESTRICT axes = frame.rotation.data() + at;
  for (size_t c = 0; c < cols; ++c, axes += frame.width) {
    V axis[N];
    for (size_t n = 0; n < N; ++n) axis[n] = hn::Load(d, axes + n * lanes);
    for (size_t j = 0; j < J; ++j) {
      const V value = hn::Set(d, z[j * stride + c]);
      for (size_t n = 0; n < N; ++n) sums.at[j][n] = hn::MulAdd(value, axis[n], sums.at[j][n]);
    }
  }
  for (size_t j = 0; j < J; ++j) {
    for (size_t n = 0; n < N; ++n) hn::Store(sums.at[j][n], d, y + j * stride + at + n * lanes);
  }
}

template <size_t J>
HWY_INLINE void Rotate(const Frame& frame, size_t cols, const float* z, size_t stride, float* y) {
  const size_t lanes = hn::Lanes(D());
  size_t at = 0;
  for (; at + 2 * lanes <= frame.width; at += 2 * lanes) RotateSome<J, 2>(frame, cols, z, stride, at, y);
  for (; at < frame.width; at += lanes) RotateSome<J, 1>(frame, cols, z, stride, at, y);
}

// Σ v² over the first n floats.
HWY_INLINE float SumOfSquares(const float* HWY_RESTRICT values, size_t n) {
  const D d;
  V sum = hn::Zero(d);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const V value = hn::IfThenElseZero(hn::FirstN(d, n - i), hn::Load(d, values + i));
    sum = hn::MulAdd(value, value, sum);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// A row on the grid, in bytes; returns the squares and the sum of its levels and of what is lost, in units.
struct OnGrid {
  float norm, sum, lost;
};
HWY_INLINE OnGrid PutOnGrid(const Frame& frame, float inverse, const float* HWY_RESTRICT y, float rest,
                            int8_t* HWY_RESTRICT bytes) {
  const D d;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<int8_t, D> d8;
  const V scale = hn::Set(d, inverse), top = hn::Set(d, kLevels);
  V norm = hn::Zero(d), sum = norm, lost = norm;
  for (size_t i = 0; i < 4 * frame.quads; i += hn::Lanes(d)) {
    V value = hn::IfThenElseZero(hn::FirstN(d, frame.axes - std::min(i, frame.axes)), hn::Load(d, y + i));
    if (frame.rest) {
      const auto last = hn::Eq(hn::Iota(d, static_cast<float>(i)), hn::Set(d, static_cast<float>(frame.axes)));
      value = hn::IfThenElse(last, hn::Set(d, rest), value);
    }
    const V exact = hn::Mul(value, scale), level = hn::Round(hn::Clamp(exact, hn::Neg(top), top));
    const V difference = hn::Sub(exact, level);
    lost = hn::MulAdd(difference, difference, lost);
    norm = hn::MulAdd(level, level, norm);
    sum = hn::Add(sum, level);
    hn::Store(hn::DemoteTo(d8, hn::ConvertTo(di, level)), d8, bytes + i);
  }
  const auto total = [&](V v) { return hn::GetLane(hn::SumOfLanes(d, v)); };
  return {total(norm), total(sum), total(lost)};
}

// Row j of a batch on the grid that is 4^coarser times as coarse as the frame's.
HWY_INLINE void PlaceQuery(const Packed& model, const Frame& frame, size_t coarser, const float* y, size_t j,
                           Batch& batch) {
  Query& query = batch.queries[j];
  const auto coarse = static_cast<float>(1 << 2 * coarser);
  const float squared = SumOfSquares(query.z, model.cols);
  query.length = std::sqrt(squared);
  float rest = 0, rest_error = 0;
  if (frame.rest) {
    rest = std::sqrt(std::max(0.0F, squared - SumOfSquares(y, frame.axes)));
    // |√a − √b| = |a − b|/(√a + √b), and at most √|a − b|.
    const float least = std::max(rest, std::sqrt(frame.norm_error) * query.length);
    rest_error = least > 0 ? frame.norm_error * squared / least : 0;
  }
  alignas(tile::kAlignment) int8_t bytes[4 * kMostQuads + kVector];
  const OnGrid at = PutOnGrid(frame, frame.inverse_unit / coarse, y, rest - frame.rest_centre, bytes);
  // Further from the grid, the reference rows in reach would be too many.
  const float error = frame.level_error + std::sqrt(static_cast<float>(frame.quads));
  query.fits = at.lost <= error * error && std::sqrt(at.norm) <= frame.reach[coarser];
  if (!query.fits) return;
  for (size_t q = 0; q < frame.quads; ++q) std::memcpy(batch.levels + q * kMostQueries + j, bytes + 4 * q, 4);
  const int norm = static_cast<int>(coarse * at.norm) / 2;
  const int constant = kTop - norm - kLevels * static_cast<int>(at.sum);
  batch.constants[j] = static_cast<int32_t>(static_cast<uint32_t>(constant & 0xFFFF) * 0x10001U);
  query.filling = kTop - norm - (frame.filling_norm >> 2 * coarser);
  // y·(1/u) is rounded, too, which shifts it by less than 2^-22·‖y‖.
  query.error = frame.level_error + 1.0001F * coarse * std::sqrt(at.lost) + 1e-3F +
                1.0001F * frame.inverse_unit * (frame.coordinate_error * query.length + rest_error);
}

// All rows of a batch, which lie `stride` floats apart; returns whether the grid holds any.
HWY_INLINE bool PlaceBatch(const Packed& model, const Frame& frame, size_t coarser, const tile::Tile& tile,
                           size_t stride, Batch& batch) {
  auto& queries = batch.queries;
  for (size_t j = 0; j < batch.count; ++j) LoadCentred(model, frame, tile, queries[j]);
  if (frame.rotation.size() > 0) {
    size_t j = 0;
    for (; j + 1 < batch.count; j += 4) Rotate<4>(frame, model.cols, queries[j].z, stride, queries[j].y);
    for (; j < batch.count; ++j) Rotate<1>(frame, model.cols, queries[j].z, stride, queries[j].y);
  }
  bool any = false;
  for (size_t j = 0; j < batch.count; ++j) {
    PlaceQuery(model, frame, coarser, frame.rotation.size() > 0 ? queries[j].y : queries[j].z, j, batch);
    any = any || queries[j].fits;
  }
  return any;
}

// The least value of a row that is at most `reach` units away on a grid that is `coarse` times as coarse. In floats,
// whose rounding is far less than the 1 that is taken off beside the 1 that a value may be off.
HWY_INLINE int LeastValue(float reach, float coarse) {
  const float least = static_cast<float>(kTop) - 0.5F * reach * reach / coarse - 2;
  return static_cast<int>(std::max(std::floor(least), -32768.0F));
}

// How a row is filtered: from the home of this number, else by frame 0 on ever coarser grids, else by the next of
// these. A row that one does not hold goes on to the next.
enum Stage : uint8_t { kWhole = 64, kProduct = kWhole + kCoarser, kAll, kDone };

// What a tile is scored in: the workspace, laid out.
struct Memory {
  Batch batch;
  uint8_t* stages;    // of each row of the tile
  uint16_t* order;    // of a stage's rows
  uint8_t* nearness;  // of each row, to a home that is not its own
  float* values;      // ProductValues
  float* centred;     // up to 4 rows for it, feature-major
  uint32_t* rows;     // candidates, of up to kMostQueries queries
  double* squares;
  alignas(tile::kAlignment) std::array<float, 4 * kMaxima> product_maxima;
  uint32_t* masks;  // GridPasses::masks
  size_t mask_stride, row_floats;
};

HWY_INLINE void LayOut(const Packed& model, tile::Workspace workspace, Memory& memory) {
  const Sizes sizes = SizesOf(model);
  tile::Arena arena(workspace);
  auto* x = arena.Take<double>(model.stride * kMostQueries);
  auto* z = arena.Take<float>(sizes.row * kMostQueries);
  auto* y = arena.Take<float>(sizes.row * kMostQueries);
  std::fill_n(x, model.stride * kMostQueries, 0.0);
  std::fill_n(z, sizes.row * kMostQueries, 0.0F);
  memory.row_floats = sizes.row;
  memory.batch.levels = arena.Take<int32_t>(sizes.levels);
  std::fill_n(memory.batch.levels, sizes.levels, 0);
  auto* values = arena.Take<int16_t>(sizes.values * kMostQueries);
  auto* maxima = arena.Take<int16_t>(kMaxima * kMostQueries);
  auto* rows = arena.Take<uint32_t>(sizes.list * kMostQueries);
  for (size_t j = 0; j < kMostQueries; ++j) {
    Query& query = memory.batch.queries[j];
    query.x = x + j * model.stride;
    query.z = z + j * sizes.row;
    query.y = y + j * sizes.row;
    query.results = {values + j * sizes.values, maxima + j * kMaxima, sizes.values};
    query.rows = rows + j * sizes.list;
  }
  memory.rows = rows;
  memory.mask_stride = sizes.masks;
  memory.masks = arena.Take<uint32_t>(sizes.masks * kMostQueries);
  memory.values = arena.Take<float>(sizes.products * kProductQueries);
  memory.centred = arena.Take<float>(model.cols * kBlockRows);
  memory.squares = arena.Take<double>(sizes.list + kVector);
  memory.stages = arena.Take<uint8_t>(tile::kTileRows);
  memory.order = arena.Take<uint16_t>(tile::kTileRows);
  memory.nearness = arena.Take<uint8_t>(tile::kTileRows);
}

}  // namespace driftseal::kernels::neighbours::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
