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

HWY_BEFORE_NAMESPACE();
namespace driftseal::kernels::neighbours::HWY_NAMESPACE {

// What the rows of a block are filtered with.
enum class Filter : uint8_t { kNone, kGrid, kProduct, kAll };

// A block of rows, ready for both filters.
struct Queries {
  float* centred;   // x' = x − c, feature-major
  int32_t* levels;  // GridQueries::levels
  alignas(tile::kAlignment) std::array<int32_t, kBlockRows> constants;
  alignas(tile::kAlignment) std::array<float, kBlockRows> level_error, level_norm, norm;  // squares
  std::array<Filter, kBlockRows> filter;
};

struct Memory {
  double* x;       // up to kMostQueries rows in double
  void* values;    // of up to kMostQueries queries
  uint32_t* rows;  // candidates, of up to kMostQueries queries
  uint32_t* hits;  // groups' entries that hold some
  double* squares;
  int16_t* groups;  // GridResults::groups
  alignas(tile::kAlignment) std::array<int16_t, kMaxima> grid_maxima;
  alignas(tile::kAlignment) std::array<float, 4 * kMaxima> product_maxima;
};

// The grid values are kTop − ‖x° − s°‖²/2, rounded to an integer by at most one upwards.
constexpr int kTop = 32766;

// Rows r .. r + lanes: centred, on the grid, and what is lost there.
HWY_INLINE void PrepareRows(const Packed& model, const tile::Tile& tile, size_t b, size_t r, Queries& queries) {
  const D d;
  const hn::RebindToSigned<D> di;
  const auto finite = hn::Eq(hn::Load(d, tile.finite + b * kBlockRows + r), hn::Zero(d));
  const V inverse = hn::Set(d, model.inverse_unit), top = hn::Set(d, kLevels);
  V error = hn::Zero(d), level_norm = error, level_sum = error, norm = error;
  for (size_t q = 0; q < (model.cols + 3) / 4; ++q) {
    auto four = hn::Zero(di);
    const size_t last = std::min(model.cols, 4 * q + 4);
    for (size_t c = last; c-- > 4 * q;) {
      const V x = hn::IfThenElseZero(finite, hn::Load(d, tile.block(b) + c * kBlockRows + r));
      const V centred = hn::Sub(x, hn::Set(d, model.centre[c])), exact = hn::Mul(centred, inverse);
      const V level = hn::Round(hn::Clamp(exact, hn::Neg(top), top)), lost = hn::Sub(exact, level);
      hn::Store(centred, d, queries.centred + c * kBlockRows + r);
      norm = hn::MulAdd(centred, centred, norm);
      error = hn::MulAdd(lost, lost, error);
      level_norm = hn::MulAdd(level, level, level_norm);
      level_sum = hn::Add(level_sum, level);
      four = hn::Or(hn::ShiftLeft<8>(four), hn::And(hn::ConvertTo(di, level), hn::Set(di, 255)));
    }
    hn::Store(four, di, queries.levels + q * kBlockRows + r);
  }
  hn::Store(error, d, queries.level_error.data() + r);
  hn::Store(level_norm, d, queries.level_norm.data() + r);
  hn::Store(norm, d, queries.norm.data() + r);
  hn::Store(hn::ConvertTo(di, level_sum), di, queries.constants.data() + r);
}

HWY_INLINE Filter FilterOf(const Packed& model, const Queries& queries, size_t r) {
  if (kHasGrid && model.levels && std::sqrt(queries.level_norm[r]) <= model.largest_row_level) {
    // So far from the grid, the reference rows in reach would be too many.
    const float error = model.level_error + 0.5F * std::sqrt(static_cast<float>(model.cols));
    if (queries.level_error[r] <= error * error) return Filter::kGrid;
  }
  return queries.norm[r] < 1e36F && model.largest_norm < 1e18F ? Filter::kProduct : Filter::kAll;
}

HWY_INLINE void Prepare(const Packed& model, const tile::Tile& tile, size_t b, Queries& queries) {
  const size_t rows = tile.block_rows(b);
  for (size_t r = 0; r < rows; r += hn::Lanes(D())) PrepareRows(model, tile, b, r, queries);
  queries.filter.fill(Filter::kNone);
  for (size_t r = 0; r < rows; ++r) {
    if (tile.finite[b * kBlockRows + r] == 0) queries.filter[r] = FilterOf(model, queries, r);
    const int norm = static_cast<int>(std::min(queries.level_norm[r], 2.0e5F)) / 2;
    const int constant = kTop - norm - kLevels * queries.constants[r];
    queries.constants[r] = static_cast<int32_t>(static_cast<uint32_t>(constant & 0xFFFF) * 0x10001u);
  }
}

// ε, in units of the grid. y = (x − c)/u is rounded twice, which shifts it by less than 2^-22·‖y‖.
HWY_INLINE float GridError(const Packed& model, const Queries& queries, size_t r) {
  return 1.0001F * std::sqrt(queries.level_error[r]) + 1e-3F + model.level_error;
}

// The least value of a row that is at most `reach` units away on the grid. In floats, whose rounding is far less than
// the 1 that is taken off at the end.
HWY_INLINE int LeastValue(float reach) {
  const float least = static_cast<float>(kTop) - 0.5F * reach * reach - 1;
  return static_cast<int>(std::max(std::floor(least), -32768.0F));
}

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

HWY_INLINE double SquaredDistance(const double* HWY_RESTRICT x, const float* HWY_RESTRICT s, size_t stride) {
  const hn::CappedTag<double, 8> d;
  const hn::Rebind<float, decltype(d)> df;
  auto sum = hn::Zero(d);
  for (size_t c = 0; c < stride; c += hn::Lanes(d)) {
    const auto difference = hn::Sub(hn::Load(d, x + c), hn::PromoteTo(d, hn::Load(df, s + c)));
    sum = hn::MulAdd(difference, difference, sum);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// The score from up to 64 squares, padded with infinities to a multiple of lanes, by how many are less than each.
HWY_INLINE double ScoreOfFew(double* squares, size_t n, size_t k, Distance distance) {
  const hn::CappedTag<double, 8> d;
  const auto one = hn::Set(d, 1.0), count = hn::Set(d, static_cast<double>(k));
  auto sum = hn::Zero(d), taken = hn::Zero(d), furthest = hn::Zero(d);
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto square = hn::Load(d, squares + i);
    auto less = hn::Zero(d);
    for (size_t j = 0; j < n; ++j)
      less = hn::Add(less, hn::IfThenElseZero(hn::Lt(hn::Set(d, squares[j]), square), one));
    const auto near = hn::Lt(less, count);
    sum = hn::Add(sum, hn::IfThenElseZero(near, hn::Sqrt(square)));
    taken = hn::Add(taken, hn::IfThenElseZero(near, one));
    furthest = hn::Max(furthest, hn::IfThenElseZero(near, square));
  }
  const double last = std::sqrt(hn::GetLane(hn::MaxOfLanes(d, furthest)));
  if (distance == Distance::kKth) return last;
  // Of several rows at the distance of the k-th all were taken.
  const double surplus = hn::GetLane(hn::SumOfLanes(d, taken)) - static_cast<double>(k);
  return (hn::GetLane(hn::SumOfLanes(d, sum)) - (surplus > 0 ? surplus * last : 0)) / static_cast<double>(k);
}

// The squared distances of a row to its candidates.
HWY_INLINE void SquareAll(const Packed& model, const double* x, const uint32_t* rows, size_t count, Memory& memory) {
  for (size_t i = 0; i < count; ++i) {
    memory.squares[i] = SquaredDistance(x, model.exact.data() + rows[i] * model.stride, model.stride);
  }
}

HWY_INLINE double ScoreOfSquares(const Packed& model, size_t count, Distance distance, Memory& memory) {
  constexpr size_t kFew = 64;
  if (count > kFew) return ScoreOf(memory.squares, count, model.k, distance);
  std::fill_n(memory.squares + count, 8, std::numeric_limits<double>::infinity());
  return ScoreOfFew(memory.squares, count, model.k, distance);
}

HWY_INLINE void LoadRow(const Packed& model, const float* block, size_t r, double* x) {
  for (size_t c = 0; c < model.cols; ++c) x[c] = block[c * kBlockRows + r];
}

// The score of row r of a block from its candidates in memory.rows.
HWY_INLINE float Refine(const Packed& model, const float* block, size_t r, size_t count, Memory& memory) {
  LoadRow(model, block, r, memory.x);
  SquareAll(model, memory.x, memory.rows, count, memory);
  return static_cast<float>(ScoreOfSquares(model, count, model.distance, memory));
}

#if DRIFTSEAL_NEIGHBOURS_GRID
// One of the rows that are filtered at once.
struct GridQuery {
  size_t r = 0;
  const double* x = nullptr;
  GridResults results;
  uint32_t* rows = nullptr;  // candidates
  size_t count = 0;
  int least = -32768;  // a candidate's least value
};

// The k rows or few more that look nearest; none where the values do not tell which.
HWY_INLINE void FindNearest(const Packed& model, const Queries& queries, GridQuery& query, Memory& memory) {
  const size_t places = GridPlaces(model.regular);
  MaximaOfGroups(query.results.groups, places, memory.grid_maxima.data());
  const int kth = KthValue(model, query.results.values, places, memory.grid_maxima.data(),
                           reinterpret_cast<int16_t*>(memory.squares));
  // As far away as what fills up the last block, or further, a value says nothing.
  const int filling = kTop - static_cast<int>(queries.level_norm[query.r]) / 2 - model.filling_norm;
  query.count = kth > filling ? FindRows(model, query.results, kth, memory.hits, query.rows) : 0;
}

// The k nearest are no further away than the k-th of those that look nearest. Its true distance, not the grid's, and an
// error of one ε, not two, bound all candidates.
HWY_INLINE void BoundCandidates(const Packed& model, const Queries& queries, GridQuery& query, Memory& memory) {
  if (query.count == 0) return;
  SquareAll(model, query.x, query.rows, query.count, memory);
  const double distance = ScoreOfSquares(model, query.count, Distance::kKth, memory);
  const auto units = static_cast<float>(distance * model.inverse_unit * (1 + 1e-6));
  query.least = LeastValue(units + GridError(model, queries, query.r));
}

HWY_INLINE void FindCandidates(const Packed& model, GridQuery& query, Memory& memory) {
  query.count = FindRows(model, query.results, query.least, memory.hits, query.rows);
  for (size_t row = model.regular; row < model.rows; ++row) query.rows[query.count++] = static_cast<uint32_t>(row);
}

// Step by step for all rows, so that reference rows arrive from memory while other rows' are looked for.
HWY_INLINE void ScoreByGrid(const Packed& model, const float* block, const Queries& queries, size_t first, size_t rows,
                            bool vnni, Memory& memory, float* out) {
  const size_t at_once = rows == 1 ? 1 : rows <= 4 || !vnni ? 4 : kMostQueries;
  const size_t stride = GridStride(model.regular), list = GridStride(model.rows);
  std::array<GridQuery, kMostQueries> waiting;
  size_t n = 0;
  for (size_t j = 0; j < std::min(rows, at_once); ++j) {
    double* x = memory.x + j * model.stride;
    // Before the products: a vector that is loaded soon after its parts were stored waits for them.
    LoadRow(model, block, first + j, x);
    const GridResults results = {static_cast<int16_t*>(memory.values) + j * stride, memory.groups + j * stride, stride};
    if (queries.filter[first + j] == Filter::kGrid) waiting[n++] = {first + j, x, results, memory.rows + j * list};
  }
  GridValuesFor(at_once, vnni)(model, {queries.levels + first, queries.constants.data() + first},
                               {static_cast<int16_t*>(memory.values), memory.groups, stride});
  for (size_t i = 0; i < n; ++i) FindNearest(model, queries, waiting[i], memory);
  for (size_t i = 0; i < n; ++i) BoundCandidates(model, queries, waiting[i], memory);
  for (size_t i = 0; i < n; ++i) FindCandidates(model, waiting[i], memory);
  for (size_t i = 0; i < n; ++i) {
    SquareAll(model, waiting[i].x, waiting[i].rows, waiting[i].count, memory);
    out[waiting[i].r] = static_cast<float>(ScoreOfSquares(model, waiting[i].count, model.distance, memory));
  }
}
#endif

template <size_t J>
HWY_INLINE void ScoreByProduct(const Packed& model, const float* block, const Queries& queries, size_t first,
                               Memory& memory, float* out) {
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX3_DL
  constexpr size_t kWide = 4;
#else
  constexpr size_t kWide = 2;
#endif
  const size_t padded = tile::RoundUp(model.rows, kBlockRows);
  float* values = static_cast<float*>(memory.values);
  ProductValues<J, kWide>(model, queries.centred + first, values, memory.product_maxima.data());
  for (size_t j = 0; j < J; ++j) {
    const size_t r = first + j;
    if (queries.filter[r] != Filter::kProduct) continue;
    const float kth = KthValue(model, values + j * padded, model.rows, memory.product_maxima.data() + j * kMaxima,
                               reinterpret_cast<float*>(memory.squares));
    const float threshold = ProductThreshold(model, queries.norm[r], kth);
    size_t count = FindPlaces(values + j * padded, padded, threshold, memory.rows);
    while (count > 0 && memory.rows[count - 1] >= model.rows) --count;
    out[r] = Refine(model, block, r, count, memory);
  }
}

HWY_INLINE void ScoreBlock(const Packed& model, const float* block, const Queries& queries, size_t rows,
                           [[maybe_unused]] bool vnni, Memory& memory, float* out) {
  const auto any = [&](size_t first, size_t count, Filter filter) {
    count = std::min(count, rows - first);
    return static_cast<size_t>(
        std::count(queries.filter.begin() + first, queries.filter.begin() + first + count, filter));
  };
#if DRIFTSEAL_NEIGHBOURS_GRID
  const size_t step = vnni ? kMostQueries : 4;
  for (size_t r = 0; r < rows; r += step) {
    if (any(r, step, Filter::kGrid) > 0) {
      ScoreByGrid(model, block, queries, r, std::min(step, rows - r), vnni, memory, out);
    }
  }
#endif
  for (size_t r = 0; r < rows; r += 4) {
    const size_t count = any(r, 4, Filter::kProduct);
    if (count >= 2) {
      ScoreByProduct<4>(model, block, queries, r, memory, out);
    } else if (count == 1) {
      size_t at = r;
      while (queries.filter[at] != Filter::kProduct) ++at;
      ScoreByProduct<1>(model, block, queries, at, memory, out);
    }
  }
  for (size_t r = 0; r < rows; ++r) {
    if (queries.filter[r] != Filter::kAll) continue;
    for (size_t i = 0; i < model.rows; ++i) memory.rows[i] = static_cast<uint32_t>(i);
    out[r] = Refine(model, block, r, model.rows, memory);
  }
}

HWY_INLINE int64_t ScoreTile(const Packed& model, const tile::Tile& tile, tile::Workspace workspace, float* out,
                             bool vnni) {
  const size_t padded = tile::RoundUp(model.rows, kGroup), stride = GridStride(model.rows);
  tile::Arena arena(workspace);
  Queries queries;
  queries.centred = arena.Take<float>(model.cols * kBlockRows);
  queries.levels = arena.Take<int32_t>((model.cols + 3) / 4 * kBlockRows);
  Memory memory;
  memory.x = arena.Take<double>(model.stride * kMostQueries);
  std::fill_n(memory.x, model.stride * kMostQueries, 0.0);
  memory.values = arena.Take<float>(padded * kMostQueries);
  memory.groups = arena.Take<int16_t>(stride * kMostQueries);
  memory.rows = arena.Take<uint32_t>(stride * kMostQueries);
  memory.hits = arena.Take<uint32_t>(stride);
  memory.squares = arena.Take<double>(stride);
  for (size_t b = 0; b < tile.blocks(); ++b) {
    Prepare(model, tile, b, queries);
    const size_t rows = tile.block_rows(b);
    ScoreBlock(model, tile.block(b), queries, rows, vnni, memory, out + b * kBlockRows);
    for (size_t r = 0; r < rows; ++r) {
      if (queries.filter[r] == Filter::kNone) out[b * kBlockRows + r] = std::numeric_limits<float>::quiet_NaN();
    }
  }
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
