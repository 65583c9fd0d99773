#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/quantiles.h"
#include "engine/fingerprint/tensor_features.h"

namespace driftseal::fingerprint {
namespace {

constexpr uint64_t kLeastClasses = 3;
constexpr uint64_t kCosineClasses = 128;  // Pairs grow with the square; more classes are taken evenly spaced.

// Squares of floats do not overflow a double.
double Dot(std::span<const float> a, std::span<const float> b) {
  std::array<double, 4> parts{};
  size_t i = 0;
  for (; i + 4 <= a.size(); i += 4) {
    for (size_t k = 0; k < 4; ++k) parts[k] += static_cast<double>(a[i + k]) * static_cast<double>(b[i + k]);
  }
  for (; i < a.size(); ++i) parts[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

void SetContrast(HeadVector vector, std::span<const double> per_class, Row& row) {
  const RobustContrast contrast = ContrastOf(per_class, 0);
  const size_t first = HeadColumn(vector, kZMax);
  if (!contrast.ok)
    return row.Miss(first, kContrasts, "half of the classes have the same value: no scale to compare with");
  row.Set(first + kZMax, contrast.z_max);
  row.Set(first + kZMin, contrast.z_min);
  row.Set(first + kTopGap, contrast.top_gap);
}

void SetCosines(const MatrixSample& head, Row& row) {
  const uint64_t classes = std::min(head.rows, kCosineClasses);
  std::vector<std::span<const float>> rows(classes);
  std::vector<double> norms(classes);
  for (uint64_t c = 0; c < classes; ++c) {
    rows[c] = head.row(SpacedIndex(c, head.rows, classes));
    norms[c] = std::sqrt(Dot(rows[c], rows[c]));
  }
  std::vector<double> cosines;
  for (uint64_t a = 0; a < classes; ++a) {
    for (uint64_t b = a + 1; b < classes; ++b) {
      if (norms[a] > 0 && norms[b] > 0) cosines.push_back(Dot(rows[a], rows[b]) / (norms[a] * norms[b]));
    }
  }
  if (cosines.empty()) return row.Miss(kHeadCosineFirst, kHeadCosines, "fewer than 2 rows of the head are not 0");
  const auto [least, most] = std::minmax_element(cosines.begin(), cosines.end());
  row.Set(kHeadCosineFirst + kCosineMin, *least);
  row.Set(kHeadCosineFirst + kCosineMax, *most);
  row.Set(kHeadCosineFirst + kCosineMedian, MedianInPlace(cosines));
}

}  // namespace

void FillHeadFeatures(const MatrixSample& head, const std::vector<float>& bias, Row& row) {
  SetCosines(head, row);
  if (head.rows < kLeastClasses) {
    return row.Miss(kHeadFirst, size_t{kHeadVectors} * size_t{kContrasts},
                    "a head of fewer than 3 classes has none that stands out from the others");
  }
  std::array<std::vector<double>, kHeadVectors> per_class;
  for (uint64_t c = 0; c < head.rows; ++c) {
    const std::span<const float> weights = head.row(c);
    double sum = 0, positive = 0;
    float most = weights[0];
    for (const float w : weights) {
      sum += w;
      positive += std::max(w, 0.0f);
      most = std::max(most, w);
    }
    per_class[kRowNorm].push_back(std::sqrt(Dot(weights, weights)));
    per_class[kRowMean].push_back(sum / static_cast<double>(weights.size()));
    per_class[kRowMax].push_back(most);
    per_class[kRowPositiveSum].push_back(positive);
    const double b = bias.empty() ? 0 : bias[SpacedIndex(c, head.tensor_rows, head.rows)];
    per_class[kRowBias].push_back(b);
    // E|N(0, 1)| = √(2/π).
    per_class[kRowExpectedLogit].push_back(std::sqrt(2 / std::numbers::pi) * sum + b);
  }
  for (size_t v = 0; v < kHeadVectors; ++v) SetContrast(static_cast<HeadVector>(v), per_class[v], row);
  if (bias.empty()) row.Miss(HeadColumn(kRowBias, kZMax), kContrasts, "the weight matrix has no bias");
}

}  // namespace driftseal::fingerprint
