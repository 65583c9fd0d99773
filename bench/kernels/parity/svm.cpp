#include "parity/svm.h"

#include <cmath>

namespace driftseal::kernels::parity {
namespace {

struct Shape {
  size_t vectors, cols;
  double gamma, offset;
};

// One column and many, around the blocks of 64 vectors, wide and narrow kernels, and data far from the origin.
constexpr Shape kShapes[] = {{0, 3, 1, 0},     {1, 1, 1, 0},      {2, 5, 1, 0},     {63, 32, 1, 0},
                             {64, 32, 1, 0},   {65, 31, 1, 0},    {449, 32, 1, 0},  {130, 64, 0.01, 0},
                             {130, 64, 50, 0}, {100, 7, 5000, 0}, {200, 240, 1, 0}, {90, 16, 1, 1e4},
                             {70, 16, 1, 1e7}, {40, 1025, 1, 0}};

void CheckRows(Outcome& outcome, const std::string& name, const svm::Svm& svm, std::span<const float> rows,
               const SvmScorer& score) {
  const size_t count = rows.size() / svm.cols;
  std::vector<double> expected(count);
  svm::ScoreReference(svm, {Widen(rows).data(), count, svm.cols}, expected);
  double weight = std::abs(svm.rho);
  for (double alpha : svm.alpha) weight += std::abs(alpha);
  outcome.Compare(name, score(svm, {rows.data(), count, svm.cols}), expected, 1e-5 * weight);
}

}  // namespace

svm::Svm RandomSvm(Random& random, size_t vectors, size_t cols, double gamma, double offset) {
  svm::Svm svm;
  svm.cols = cols;
  for (float value : NormalRows(random, vectors, cols)) svm.vectors.push_back(static_cast<float>(value + offset));
  for (size_t i = 0; i < vectors; ++i) svm.alpha.push_back(random.Uniform());
  svm.gamma = gamma / static_cast<double>(cols);
  svm.rho = 0.1 * static_cast<double>(vectors) + 0.5;
  return svm;
}

Outcome CheckSvm(const SvmScorer& score) {
  Outcome outcome;
  Random random(4);
  for (const Shape& shape : kShapes) {
    const svm::Svm svm = RandomSvm(random, shape.vectors, shape.cols, shape.gamma, shape.offset);
    const std::string name = "svm " + std::to_string(shape.vectors) + " vectors, " + std::to_string(shape.cols) +
                             " columns, gamma " + std::to_string(svm.gamma) + ", offset " +
                             std::to_string(shape.offset);
    for (size_t rows : kRowCounts) {
      std::vector<float> near = NormalRows(random, rows, shape.cols);
      for (float& value : near) value = static_cast<float>(value + shape.offset);
      CheckRows(outcome, name + ", " + std::to_string(rows) + " rows", svm, near, score);
    }
    CheckRows(outcome, name + ", hard rows", svm, HardRows(random, shape.cols), score);
    const std::vector<float> own(svm.vectors.begin(), svm.vectors.end());
    CheckRows(outcome, name + ", its own vectors", svm, own, score);
  }
  return outcome;
}

}  // namespace driftseal::kernels::parity
