#include "engine/canary/inputs.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace driftseal::canary {
namespace {

using replay::CanarySet;

// splitmix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  // Irwin-Hall: unlike what logarithms and cosines give, the same on every machine.
  double Normal() {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += Uniform();
    return sum - 6;
  }

 private:
  uint64_t state_;
};

struct Column {
  double mean = 0, deviation = 1;
};

std::vector<Column> ColumnsOf(const CanarySet& set) {
  const size_t elements = set.elements(), count = set.count();
  std::vector<Column> columns(elements);
  if (count < 2) return columns;
  for (size_t c = 0; c < elements; ++c) {
    double sum = 0, squares = 0;
    for (size_t r = 0; r < count; ++r) sum += set.inputs[r * elements + c];
    const double mean = sum / static_cast<double>(count);
    for (size_t r = 0; r < count; ++r) {
      const double off = set.inputs[r * elements + c] - mean;
      squares += off * off;
    }
    columns[c] = {mean, std::sqrt(squares / static_cast<double>(count - 1))};
  }
  return columns;
}

float Within(const CanarySet& set, double share) {
  const double value = set.low + share * (static_cast<double>(set.high) - set.low);
  return std::clamp(static_cast<float>(value), set.low, set.high);
}

// Where a point lies on a grid of `knots` over `size` elements: the knot before it and the share of the next.
std::pair<size_t, double> OnGrid(size_t at, size_t size, size_t knots) {
  if (size < 2) return {0, 0.0};
  const double place = static_cast<double>(at) * static_cast<double>(knots - 1) / static_cast<double>(size - 1);
  const size_t before = std::min(static_cast<size_t>(place), knots - 2);
  return {before, place - static_cast<double>(before)};
}

void StructuredImage(const CanarySet& set, Random& random, std::vector<float>& out) {
  constexpr size_t kKnots = 4;
  const size_t height = set.image[1], width = set.image[2];
  double grid[kKnots][kKnots];
  for (uint32_t channel = 0; channel < set.image[0]; ++channel) {
    for (auto& row : grid) {
      for (double& value : row) value = random.Uniform();
    }
    for (size_t y = 0; y < height; ++y) {
      const auto [row, down] = OnGrid(y, height, kKnots);
      for (size_t x = 0; x < width; ++x) {
        const auto [column, right] = OnGrid(x, width, kKnots);
        const double above = grid[row][column] * (1 - right) + grid[row][column + 1] * right;
        const double below = grid[row + 1][column] * (1 - right) + grid[row + 1][column + 1] * right;
        out.push_back(Within(set, above * (1 - down) + below * down));
      }
    }
  }
}

void StructuredRow(const std::vector<Column>& columns, Random& random, std::vector<float>& out) {
  constexpr size_t kStride = 8;
  std::vector<double> knots(std::max<size_t>(2, (columns.size() + kStride - 1) / kStride + 1));
  for (double& knot : knots) knot = random.Normal();
  for (size_t c = 0; c < columns.size(); ++c) {
    const auto [before, share] = OnGrid(c, columns.size(), knots.size());
    const double value = knots[before] * (1 - share) + knots[before + 1] * share;
    out.push_back(static_cast<float>(columns[c].mean + columns[c].deviation * value));
  }
}

// Pairs of inputs that the model tells apart, spread over the set.
std::vector<std::pair<size_t, size_t>> PairsOf(const std::vector<int32_t>& predicted, size_t count, uint64_t seed) {
  std::vector<size_t> order(predicted.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Random random(seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.Next() % i]);
  std::vector<std::pair<size_t, size_t>> pairs;
  for (size_t i = 0; i < order.size() && pairs.size() < count; ++i) {
    for (size_t step = 1; step < order.size(); ++step) {
      const size_t other = order[(i + step) % order.size()];
      if (predicted[other] == predicted[order[i]]) continue;
      pairs.emplace_back(order[i], other);
      break;
    }
  }
  return pairs;
}

}  // namespace

Top TopOf(std::span<const float> row) {
  const auto first = std::max_element(row.begin(), row.end());
  float second = -INFINITY;
  for (auto at = row.begin(); at != row.end(); ++at) {
    if (at != first) second = std::max(second, *at);
  }
  return {static_cast<int32_t>(first - row.begin()), *first - second};
}

std::vector<float> NoiseInputs(const CanarySet& set, size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> out;
  const size_t elements = set.elements();
  out.reserve(count * elements);
  const std::vector<Column> columns = set.image.empty() ? ColumnsOf(set) : std::vector<Column>();
  for (size_t i = 0; i < count * elements; ++i) {
    if (!set.image.empty()) {
      out.push_back(Within(set, random.Uniform()));
    } else {
      const Column& column = columns[i % elements];
      out.push_back(static_cast<float>(column.mean + column.deviation * random.Normal()));
    }
  }
  return out;
}

std::vector<float> StructuredNoise(const CanarySet& set, size_t count, uint64_t seed) {
  Random random(seed ^ 0x5DEECE66Du);
  std::vector<float> out;
  out.reserve(count * set.elements());
  const std::vector<Column> columns = set.image.empty() ? ColumnsOf(set) : std::vector<Column>();
  for (size_t i = 0; i < count; ++i) {
    if (set.image.empty()) {
      StructuredRow(columns, random, out);
    } else {
      StructuredImage(set, random, out);
    }
  }
  return out;
}

absl::StatusOr<std::vector<float>> BoundaryInputs(ReplayPool& pool, std::span<const std::byte> model,
                                                  replay::ModelRuntime runtime, const CanarySet& set,
                                                  std::span<const float> logits, size_t count, uint64_t seed,
                                                  size_t steps) {
  const size_t elements = set.elements(), classes = set.count() == 0 ? 0 : logits.size() / set.count();
  std::vector<int32_t> predicted;
  for (size_t i = 0; i < set.count(); ++i) predicted.push_back(TopOf(logits.subspan(i * classes, classes)).predicted);
  const auto pairs = PairsOf(predicted, count, seed);
  if (pairs.empty()) return std::vector<float>();

  CanarySet middle = set;
  middle.inputs.resize(pairs.size() * elements);
  middle.labels.assign(pairs.size(), -1);
  std::vector<float> from, to, best;
  for (const auto& [a, b] : pairs) {
    from.insert(from.end(), set.inputs.begin() + a * elements, set.inputs.begin() + (a + 1) * elements);
    to.insert(to.end(), set.inputs.begin() + b * elements, set.inputs.begin() + (b + 1) * elements);
  }
  best = from;
  std::vector<float> margin(pairs.size(), INFINITY);
  for (size_t step = 0; step < steps; ++step) {
    for (size_t i = 0; i < middle.inputs.size(); ++i) middle.inputs[i] = 0.5f * from[i] + 0.5f * to[i];
    const absl::StatusOr<replay::RawBehaviour> answers = pool.Replay(model, runtime, middle);
    if (!answers.ok()) return answers.status();
    const std::span<const float> rows = answers->logits;
    for (size_t p = 0; p < pairs.size(); ++p) {
      const Top top = TopOf(rows.subspan(p * classes, classes));
      const auto begin = middle.inputs.begin() + p * elements, end = begin + elements;
      if (top.margin < margin[p]) {
        margin[p] = top.margin;
        std::copy(begin, end, best.begin() + p * elements);
      }
      std::vector<float>& side = top.predicted == predicted[pairs[p].first] ? from : to;
      std::copy(begin, end, side.begin() + p * elements);
    }
  }
  return best;
}

}  // namespace driftseal::canary
