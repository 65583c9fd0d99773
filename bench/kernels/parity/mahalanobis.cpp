#include "parity/mahalanobis.h"

#include <algorithm>
#include <cmath>

namespace driftseal::kernels::parity {
namespace {

using mahalanobis::Mahalanobis;

struct Shape {
  size_t cols, directions;
  double isotropic, offset;
};
constexpr Shape kShapes[] = {{1, 0, 2, 0},     {1, 1, 1, 0},     {3, 0, 1, 0},     {3, 1, 1, 0},     {5, 4, 10, 0},
                             {32, 31, 1, 0},   {32, 32, 5, 0},   {31, 7, 1, 1e4},  {64, 63, 1, 0},   {64, 20, 1, 1e7},
                             {150, 29, 20, 0}, {130, 129, 1, 0}, {240, 65, 3, 10}, {1025, 40, 1, 0}, {16, 15, 1e6, 0}};

// c‖d‖² + Σ_j |w_j| (v_j·d)² of one row.
double Terms(const Mahalanobis& model, const float* row) {
  const size_t cols = model.mean.size();
  double terms = 0;
  for (size_t c = 0; c < cols; ++c) terms += (row[c] - model.mean[c]) * (row[c] - model.mean[c]) * model.isotropic;
  for (size_t j = 0; j < model.weights.size(); ++j) {
    double projection = 0;
    for (size_t c = 0; c < cols; ++c) projection += model.directions[j * cols + c] * (row[c] - model.mean[c]);
    terms += std::abs(model.weights[j]) * projection * projection;
  }
  return terms;
}

// One row a comparison, as each has terms of its own.
void CheckRows(Outcome& outcome, const std::string& name, const Mahalanobis& model, std::span<const float> rows,
               const MahalanobisScorer& score, double of_terms) {
  const size_t cols = model.mean.size(), count = rows.size() / cols;
  std::vector<double> expected(count);
  mahalanobis::ScoreReference(model, {Widen(rows).data(), count, cols}, expected);
  const std::vector<float> got = score(model, {rows.data(), count, cols});
  if (got.size() != count || count == 0) return outcome.Compare(name, got, expected, 0);
  for (size_t r = 0; r < count; ++r) {
    const double terms = Terms(model, rows.data() + r * cols);
    outcome.Compare(name + ", row " + std::to_string(r), std::span(got).subspan(r, 1),
                    std::span(expected).subspan(r, 1),
                    [&](double value) { return 6e-8 * value + of_terms * terms + 1e-45; });
  }
}

// Rows along the directions themselves, where the terms cancel, and at the mean.
std::vector<float> OwnRows(const Mahalanobis& model) {
  std::vector<float> rows(model.mean.begin(), model.mean.end());
  for (size_t i = 0; i < model.directions.size(); ++i) {
    rows.push_back(static_cast<float>(model.mean[i % model.mean.size()] + 10 * model.directions[i]));
  }
  return rows;
}

}  // namespace

Mahalanobis RandomMahalanobis(Random& random, size_t cols, size_t directions, double isotropic, double offset) {
  Mahalanobis model;
  model.isotropic = isotropic;
  for (float value : NormalRows(random, 1, cols)) model.mean.push_back(value + offset);
  model.directions = Widen(NormalRows(random, directions, cols));
  for (size_t j = 0; j < directions; ++j) {  // Gram and Schmidt, twice for the rounding
    double* v = model.directions.data() + j * cols;
    for (size_t other = 0; other < 2 * j; ++other) {
      const double* u = model.directions.data() + other % j * cols;
      double along = 0;
      for (size_t c = 0; c < cols; ++c) along += u[c] * v[c];
      for (size_t c = 0; c < cols; ++c) v[c] -= along * u[c];
    }
    double squared = 0;
    for (size_t c = 0; c < cols; ++c) squared += v[c] * v[c];
    for (size_t c = 0; c < cols; ++c) v[c] /= std::sqrt(squared);
    const double left = j % 5 == 0 ? 1e-6 : random.Uniform();
    model.weights.push_back(-isotropic * (1 - left));
  }
  return model;
}

Outcome CheckMahalanobis(const MahalanobisScorer& score, double of_terms) {
  Outcome outcome;
  Random random(7);
  for (const Shape& shape : kShapes) {
    Mahalanobis model = RandomMahalanobis(random, shape.cols, shape.directions, shape.isotropic, shape.offset);
    const std::string name = "mahalanobis " + std::to_string(shape.cols) + " columns, " +
                             std::to_string(shape.directions) + " directions, offset " + std::to_string(shape.offset);
    for (size_t rows : kRowCounts) {
      std::vector<float> near = NormalRows(random, rows, shape.cols);
      for (float& value : near) value = static_cast<float>(value + shape.offset);
      CheckRows(outcome, name + ", " + std::to_string(rows) + " rows", model, near, score, of_terms);
    }
    CheckRows(outcome, name + ", hard rows", model, HardRows(random, shape.cols), score, of_terms);
    CheckRows(outcome, name + ", along the directions", model, OwnRows(model), score, of_terms);
    for (double& weight : model.weights) weight = -weight;
    CheckRows(outcome, name + ", positive weights", model, OwnRows(model), score, of_terms);
  }
  return outcome;
}

}  // namespace driftseal::kernels::parity
