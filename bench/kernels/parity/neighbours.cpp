#include "parity/neighbours.h"

#include <algorithm>
#include <cmath>

namespace driftseal::kernels::parity {
namespace {

using neighbours::Distance;
using neighbours::Neighbours;

// Neither too few nor too many rows for any filter, k at and around every limit, far from the origin, many columns.
struct Shape {
  size_t rows, cols, k;
  double offset;
  Distance distance;
};
constexpr Distance kMean = Distance::kMean, kKth = Distance::kKth;
constexpr Shape kShapes[] = {
    {1, 1, 1, 0, kMean},      {2, 3, 2, 0, kKth},      {31, 8, 5, 0, kMean},      {33, 8, 33, 0, kMean},
    {64, 1, 3, 0, kMean},     {65, 32, 16, 0, kKth},   {130, 31, 17, 0, kMean},   {600, 32, 5, 0, kMean},
    {600, 33, 600, 0, kMean}, {1000, 5, 1, 0, kKth},   {1000, 32, 5, 1e4, kMean}, {900, 16, 5, 1e7, kMean},
    {4096, 32, 5, 0, kMean},  {4097, 32, 16, 0, kKth}, {2047, 4, 100, 0, kMean},  {1500, 64, 8, 0, kMean},
    {300, 240, 5, 0, kMean},  {70, 1025, 3, 0, kMean}, {127, 1025, 1, 1e4, kKth}};

void CheckRows(Outcome& outcome, const std::string& name, const Neighbours& model, std::span<const float> rows,
               const NeighboursScorer& score) {
  const size_t count = rows.size() / model.cols;
  std::vector<double> expected(count), scratch(ScratchSize(model));
  ScoreReference(model, {Widen(rows).data(), count, model.cols}, scratch, expected);
  double longest = 0;
  bool narrow = true;
  for (size_t i = 0; i < model.rows(); ++i) {
    double squared = 0;
    for (size_t c = 0; c < model.cols; ++c) {
      const double value = model.reference[i * model.cols + c];
      squared += value * value;
      narrow = narrow && static_cast<double>(static_cast<float>(value)) == value;
    }
    longest = std::max(longest, std::sqrt(squared));
  }
  const double floor = narrow ? static_cast<double>(std::numeric_limits<float>::denorm_min()) : 6e-8 * longest;
  outcome.Compare(name, score(model, {rows.data(), count, model.cols}), expected,
                  [floor](double distance) { return 1e-6 * distance + floor; });
}

std::vector<float> Narrow(std::span<const double> values) { return {values.begin(), values.end()}; }

void CheckShape(Outcome& outcome, Random& random, const Shape& shape, const NeighboursScorer& score) {
  Neighbours model = RandomNeighbours(random, shape.rows, shape.cols, shape.k, shape.offset);
  model.distance = shape.distance;
  const std::string name = "neighbours " + std::to_string(shape.rows) + " x " + std::to_string(shape.cols) + ", k " +
                           std::to_string(shape.k) + ", offset " + std::to_string(shape.offset);
  for (size_t rows : kRowCounts) {
    if (rows * shape.rows * shape.cols > 40'000'000) continue;  // the reference would take a second
    std::vector<float> near = NormalRows(random, rows, shape.cols);
    for (float& value : near) value = static_cast<float>(value + shape.offset);
    CheckRows(outcome, name + ", " + std::to_string(rows) + " rows", model, near, score);
  }
  CheckRows(outcome, name + ", hard rows", model, HardRows(random, shape.cols), score);
  std::vector<float> own = Narrow(model.reference);
  own.resize(std::min<size_t>(own.size() / shape.cols, 130) * shape.cols);
  CheckRows(outcome, name + ", reference rows", model, own, score);
  // From within the reference rows to far outside them: every filter, and blocks in which they are mixed.
  std::vector<float> spread = NormalRows(random, 130, shape.cols);
  for (size_t i = 0; i < spread.size(); ++i) {
    const double factor = std::pow(10.0, static_cast<double>(i / shape.cols % 13) - 2);
    spread[i] = static_cast<float>(spread[i] * factor + shape.offset);
  }
  CheckRows(outcome, name + ", rows near and far", model, spread, score);
}

// Reference rows of which many are the same, all are the same, a few lie far out, or columns differ in scale.
void CheckUneven(Outcome& outcome, Random& random, const NeighboursScorer& score) {
  const std::vector<float> rows = NormalRows(random, 200, 24);
  Neighbours model = RandomNeighbours(random, 1000, 24, 5, 0);
  for (size_t i = 0; i < model.reference.size(); ++i) model.reference[i] = model.reference[i % (10 * 24)];
  CheckRows(outcome, "neighbours, a hundred times the same ten", model, rows, score);
  CheckRows(outcome, "neighbours, ten among themselves", model, Narrow(model.reference), score);
  for (size_t i = 0; i < model.reference.size(); ++i) model.reference[i] = 3;
  CheckRows(outcome, "neighbours, all the same", model, rows, score);
  CheckRows(outcome, "neighbours, all the same and itself", model, std::vector<float>(24 * 3, 3.0F), score);
  for (double out : {30.0, 1e6, 1e30}) {
    model = RandomNeighbours(random, 1000, 24, 5, 0);
    for (size_t i = 0; i < 12 * 24; ++i) model.reference[i * 7] = static_cast<float>(model.reference[i * 7] * out);
    CheckRows(outcome, "neighbours, a few " + std::to_string(out) + " times further out", model, rows, score);
    CheckRows(outcome, "neighbours, and themselves", model, Narrow(model.reference), score);
  }
  model = RandomNeighbours(random, 1000, 24, 5, 0);
  for (size_t i = 0; i < model.reference.size(); ++i) {
    model.reference[i] = static_cast<float>(model.reference[i] * std::pow(10.0, static_cast<double>(i % 24) / 3 - 4));
  }
  CheckRows(outcome, "neighbours, columns of all scales", model, rows, score);
  CheckRows(outcome, "neighbours, columns of all scales, own", model, Narrow(model.reference), score);
  for (double& value : model.reference) value += 1e-3 * random.Uniform();
  CheckRows(outcome, "neighbours, reference rows that are no float32", model, rows, score);
  CheckRows(outcome, "neighbours, nearly reference rows", model, Narrow(model.reference), score);
}

// Rows like the reference rows, between any two of them, and some and very far outside.
void CheckAround(Outcome& outcome, const std::string& name, Random& random, const Neighbours& model,
                 const NeighboursScorer& score) {
  const std::vector<float> own = Narrow(model.reference);
  CheckRows(outcome, name + ", themselves", model, own, score);
  std::vector<float> between(700 * model.cols), far = between;
  for (size_t i = 0; i < 700; ++i) {
    const size_t a = random.Below(model.rows()), b = random.Below(model.rows());
    const auto part = static_cast<float>(random.Uniform() * random.Uniform());
    const float factor = std::pow(2.0F, static_cast<float>(i % 9));
    for (size_t c = 0; c < model.cols; ++c) {
      between[i * model.cols + c] = own[a * model.cols + c] * (1 - part) + own[b * model.cols + c] * part;
      far[i * model.cols + c] = between[i * model.cols + c] * factor;
    }
  }
  CheckRows(outcome, name + ", between them", model, between, score);
  CheckRows(outcome, name + ", far outside", model, far, score);
  between.resize(model.cols);
  CheckRows(outcome, name + ", one row", model, between, score);
}

// Reference rows that have few dimensions, lie in groups, or both.
void CheckStructured(Outcome& outcome, Random& random, const NeighboursScorer& score) {
  CheckAround(outcome, "neighbours, near a plane", random, FlatNeighbours(random, 900, 40, 5), score);
  CheckAround(outcome, "neighbours, on a line", random, FlatNeighbours(random, 900, 130, 1), score);
  Neighbours model = ClusteredNeighbours(random, 1500, 24, 4);
  CheckAround(outcome, "neighbours, in clusters", random, model, score);
  for (Distance distance : {Distance::kKth, Distance::kMean}) {
    model.distance = distance;
    model.k = distance == Distance::kKth ? 31 : 60;
    CheckAround(outcome, "neighbours, in clusters, k " + std::to_string(model.k), random, model, score);
  }
  for (double& value : model.reference) value = static_cast<float>(value + 1e4);
  CheckAround(outcome, "neighbours, in clusters, offset", random, model, score);
  model = ClusteredNeighbours(random, 1111, 3, 2);
  for (size_t i = 0; i < 12; ++i) model.reference[i * 91] *= 1000;
  CheckAround(outcome, "neighbours, in clusters, some far out", random, model, score);
}

}  // namespace

Neighbours FlatNeighbours(Random& random, size_t rows, size_t cols, size_t rank) {
  const std::vector<float> plane = NormalRows(random, rank, cols), weights = NormalRows(random, rows, rank);
  Neighbours model = RandomNeighbours(random, rows, cols, 5, 0);
  for (size_t i = 0; i < model.reference.size(); ++i) {
    double value = 0.02 * model.reference[i];
    for (size_t r = 0; r < rank; ++r) {
      value += static_cast<double>(weights[i / cols * rank + r]) * static_cast<double>(plane[r * cols + i % cols]);
    }
    model.reference[i] = static_cast<float>(value);
  }
  return model;
}

Neighbours ClusteredNeighbours(Random& random, size_t rows, size_t cols, size_t clusters) {
  const std::vector<float> centres = NormalRows(random, clusters, cols);
  Neighbours model = RandomNeighbours(random, rows, cols, 5, 0);
  for (size_t i = 0; i < model.reference.size(); ++i) {
    const double centre = static_cast<double>(centres[i / cols % clusters * cols + i % cols]);
    // Columns count for less and less, as in a cluster of few dimensions.
    const double width = 1 / (1 + 0.3 * static_cast<double>(i % cols));
    model.reference[i] = static_cast<float>(model.reference[i] * width + 2 * centre);
  }
  return model;
}

Neighbours RandomNeighbours(Random& random, size_t rows, size_t cols, size_t k, double offset) {
  Neighbours model;
  model.cols = cols;
  model.k = k;
  for (float value : NormalRows(random, rows, cols)) model.reference.push_back(static_cast<float>(value + offset));
  return model;
}

Outcome CheckNeighbours(const NeighboursScorer& score) {
  Outcome outcome;
  Random random(6);
  for (const Shape& shape : kShapes) CheckShape(outcome, random, shape, score);
  CheckUneven(outcome, random, score);
  CheckStructured(outcome, random, score);
  return outcome;
}

}  // namespace driftseal::kernels::parity
