#include "engine/fingerprint/prediction_features.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "absl/strings/ascii.h"
#include "engine/artifact/text.h"
#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/prediction_columns.h"
#include "engine/fingerprint/quantiles.h"

namespace driftseal::fingerprint {
namespace {

constexpr size_t kCalibrationBins = 15;

void Set(Row& row, PredictionColumn column, double value) { row.Set(kPredictionsFirst + column, value); }
void Miss(Row& row, PredictionColumn first, PredictionColumn last, std::string_view reason) {
  row.Miss(kPredictionsFirst + first, static_cast<size_t>(last) - first + 1, reason);
}

double Largest(const std::vector<double>& values) { return *std::max_element(values.begin(), values.end()); }
double Sum(const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); }

std::vector<double> Shares(const std::vector<uint32_t>& labels, size_t classes) {
  std::vector<double> shares(classes);
  for (const uint32_t label : labels) {
    if (label != kNoLabel) ++shares[label];
  }
  const double total = Sum(shares);
  for (double& share : shares) share = total > 0 ? share / total : 0;
  return shares;
}

void SetShares(const std::vector<double>& shares, PredictionColumn entropy, PredictionColumn largest, Row& row) {
  Set(row, largest, Largest(shares));
  if (shares.size() < 2) return Miss(row, entropy, entropy, "there is only one class");
  double h = 0;
  for (const double p : shares) h -= p > 0 ? p * std::log(p) : 0;
  Set(row, entropy, h / std::log(static_cast<double>(shares.size())));
}

// Rows by true class × predicted class.
struct Confusion {
  size_t classes = 0;
  std::vector<double> cells, of_true, of_predicted;  // Marginals of `cells`.
  double rows = 0, right = 0;
  double at(size_t t, size_t p) const { return cells[t * classes + p]; }
};

Confusion Confuse(const Labels& labels) {
  Confusion c;
  c.classes = labels.classes;
  c.cells.resize(c.classes * c.classes);
  c.of_true.resize(c.classes), c.of_predicted.resize(c.classes);
  for (size_t r = 0; r < labels.truth.size(); ++r) {
    const uint32_t t = labels.truth[r], p = labels.predicted[r];
    if (t == kNoLabel || p == kNoLabel) continue;
    ++c.cells[t * c.classes + p], ++c.of_true[t], ++c.of_predicted[p], ++c.rows;
    if (t == p) ++c.right;
  }
  return c;
}

void AccuracyFeatures(const Confusion& c, Row& row) {
  if (!(c.rows > 0)) return Miss(row, kAccuracy, kErrorPredictedZ, "no row has a true and a predicted label");
  Set(row, kAccuracy, c.right / c.rows);
  std::vector<double> recall, precision;
  for (size_t k = 0; k < c.classes; ++k) {
    if (c.of_true[k] > 0) recall.push_back(c.at(k, k) / c.of_true[k]);
    if (c.of_predicted[k] > 0) precision.push_back(c.at(k, k) / c.of_predicted[k]);
  }
  Set(row, kRecallMin, *std::min_element(recall.begin(), recall.end()));
  Set(row, kPrecisionMin, *std::min_element(precision.begin(), precision.end()));
  const RobustContrast contrast = ContrastOf(recall, 0.01);
  if (contrast.ok) {
    Set(row, kRecallMinZ, contrast.z_min);
  } else {
    Miss(row, kRecallMinZ, kRecallMinZ, "fewer than 3 classes");
  }
}

void ErrorFeatures(const Confusion& c, Row& row) {
  const double wrong = c.rows - c.right;
  if (!(c.rows > 0)) return;
  if (!(wrong > 0)) return Miss(row, kErrorCellShare, kErrorPredictedZ, "no row is wrong");
  std::vector<double> by_predicted(c.classes), by_true(c.classes);
  double cell = 0;
  for (size_t t = 0; t < c.classes; ++t) {
    for (size_t p = 0; p < c.classes; ++p) {
      if (t == p) continue;
      by_predicted[p] += c.at(t, p), by_true[t] += c.at(t, p);
      cell = std::max(cell, c.at(t, p));
    }
  }
  Set(row, kErrorCellShare, cell / wrong);
  Set(row, kErrorPredictedShare, Largest(by_predicted) / wrong);
  Set(row, kErrorTrueShare, Largest(by_true) / wrong);
  const RobustContrast contrast = ContrastOf(by_predicted, 1);
  if (contrast.ok) return Set(row, kErrorPredictedZ, contrast.z_max);
  Miss(row, kErrorPredictedZ, kErrorPredictedZ, "fewer than 3 classes");
}

void LabelFeatures(const Labels& labels, Row& row) {
  if (!labels.why_not.empty()) return Miss(row, kTrueEntropy, kErrorPredictedZ, labels.why_not);
  if (labels.classes == 0) return Miss(row, kTrueEntropy, kErrorPredictedZ, "no row has a label");
  const std::vector<double> truth = Shares(labels.truth, labels.classes),
                            predicted = Shares(labels.predicted, labels.classes);
  if (Sum(truth) > 0) SetShares(truth, kTrueEntropy, kTrueLargestShare, row);
  if (Sum(predicted) > 0) SetShares(predicted, kPredictedEntropy, kPredictedLargestShare, row);
  const char* const no_truth = "the file has no true labels";
  const char* const no_predicted = "the file has no predicted labels";
  if (!(Sum(truth) > 0)) Miss(row, kTrueEntropy, kTrueLargestShare, no_truth);
  if (!(Sum(predicted) > 0)) Miss(row, kPredictedEntropy, kPredictedLargestShare, no_predicted);
  if (!(Sum(truth) > 0 && Sum(predicted) > 0)) {
    return Miss(row, kShareExcess, kErrorPredictedZ, Sum(truth) > 0 ? no_predicted : no_truth);
  }
  double excess = 0, distance = 0;
  for (size_t k = 0; k < labels.classes; ++k) {
    excess = std::max(excess, predicted[k] - truth[k]);
    distance += 0.5 * std::fabs(predicted[k] - truth[k]);
  }
  Set(row, kShareExcess, excess);
  Set(row, kShareDistance, distance);
  const Confusion confusion = Confuse(labels);
  AccuracyFeatures(confusion, row);
  ErrorFeatures(confusion, row);
}

void ConfidenceShape(const std::vector<float>& confidence, Row& row) {
  std::vector<float> known;
  known.reserve(confidence.size());
  std::copy_if(confidence.begin(), confidence.end(), std::back_inserter(known),
               [](float x) { return std::isfinite(x); });
  if (known.empty()) return Miss(row, kConfidenceMean, kConfidenceQ95, "no row has a confidence");
  const Moments moments = MomentsOf(known);
  Set(row, kConfidenceMean, moments.mean);
  Set(row, kConfidenceStd, std::sqrt(moments.variance));
  constexpr double kProbabilities[] = {0.05, 0.25, 0.5, 0.75, 0.95};
  std::array<double, std::size(kProbabilities)> q{};
  Quantiles(known, kProbabilities, q);
  for (size_t i = 0; i < q.size(); ++i) row.Set(kPredictionsFirst + kConfidenceQ05 + i, q[i]);
}

void ConfidenceAgainstTruth(const std::vector<float>& confidence, const Labels& labels, Row& row) {
  if (!labels.why_not.empty() || labels.truth.empty() || labels.predicted.empty()) {
    return Miss(row, kConfidenceWrong, kCalibrationError,
                "the file has no true and predicted labels to compare the confidence with");
  }
  struct Bin {
    double rows = 0, right = 0, confidence = 0;
  };
  std::array<Bin, kCalibrationBins> bins{};
  Bin all, wrong;
  bool probabilities = true;
  for (size_t r = 0; r < confidence.size(); ++r) {
    const double c = confidence[r];
    if (!std::isfinite(c) || labels.truth[r] == kNoLabel || labels.predicted[r] == kNoLabel) continue;
    const bool right = labels.truth[r] == labels.predicted[r];
    probabilities = probabilities && c >= 0 && c <= 1;
    ++all.rows, all.right += right, all.confidence += c;
    if (!right) ++wrong.rows, wrong.confidence += c;
    if (!probabilities) continue;
    Bin& bin = bins[std::min(kCalibrationBins - 1, static_cast<size_t>(c * kCalibrationBins))];
    ++bin.rows, bin.right += right, bin.confidence += c;
  }
  if (!(all.rows > 0)) return Miss(row, kConfidenceWrong, kCalibrationError, "no row has labels and a confidence");
  if (wrong.rows > 0) Set(row, kConfidenceWrong, wrong.confidence / wrong.rows);
  if (wrong.rows > 0 && all.right > 0) {
    Set(row, kConfidenceGap, (all.confidence - wrong.confidence) / all.right - wrong.confidence / wrong.rows);
  } else {
    Miss(row, kConfidenceGap, kConfidenceGap, "there are no right and wrong rows to compare");
  }
  if (!(wrong.rows > 0)) Miss(row, kConfidenceWrong, kConfidenceWrong, "no row is wrong");
  if (!probabilities) return Miss(row, kCalibrationError, kCalibrationError, "the confidences are not within [0, 1]");
  double error = 0;
  for (const Bin& bin : bins) error += std::fabs(bin.right - bin.confidence) / all.rows;
  Set(row, kCalibrationError, error);
}

void ClassMass(const PredictionRoles& roles, Row& row) {
  std::vector<double> means;
  for (const CsvTable::Column* column : roles.probabilities) {
    double sum = 0, count = 0;
    for (const double p : column->numbers) {
      if (!std::isnan(p)) sum += p, ++count;
    }
    if (count > 0) means.push_back(sum / count);
  }
  if (means.size() < 3) return Miss(row, kClassMassContrast, kClassMassContrast, "fewer than 3 probability columns");
  const double largest = Largest(means);
  Set(row, kClassMassContrast, largest - MedianInPlace(means));
}

void ResidualFeatures(const PredictionRoles& roles, size_t rows, Row& row) {
  if (roles.truth == nullptr || roles.predicted == nullptr || !roles.truth->numeric || !roles.predicted->numeric) {
    return Miss(row, kResidualMean, kDetermination, "the file has no numeric true and predicted values");
  }
  std::vector<float> residuals, absolute;
  double squares = 0, truth_sum = 0;
  for (size_t r = 0; r < rows; ++r) {
    const double residual = roles.predicted->numbers[r] - roles.truth->numbers[r];
    if (!std::isfinite(static_cast<float>(residual))) continue;
    residuals.push_back(static_cast<float>(residual));
    absolute.push_back(std::fabs(residuals.back()));
    squares += residual * residual, truth_sum += roles.truth->numbers[r];
  }
  if (residuals.empty()) return Miss(row, kResidualMean, kDetermination, "no row has a true and a predicted value");
  const Moments moments = MomentsOf(residuals);
  Set(row, kResidualMean, moments.mean);
  Set(row, kResidualStd, std::sqrt(moments.variance));
  constexpr double kProbability[] = {0.95};
  double q95 = 0;
  Quantiles(absolute, kProbability, std::span(&q95, 1));
  Set(row, kResidualAbsQ95, q95);
  const double mean = truth_sum / static_cast<double>(residuals.size());
  double total = 0;
  for (size_t r = 0; r < rows; ++r) {
    const double t = roles.truth->numbers[r];
    if (std::isfinite(static_cast<float>(roles.predicted->numbers[r] - t))) total += (t - mean) * (t - mean);
  }
  if (total > 0) return Set(row, kDetermination, 1 - squares / total);
  Miss(row, kDetermination, kDetermination, "every true value is the same");
}

void TableFeatures(const CsvTable& table, Row& row) {
  size_t numeric = 0, missing = 0;
  for (const CsvTable::Column& column : table.columns) {
    if (!column.numeric) continue;
    ++numeric;
    missing += static_cast<size_t>(
        std::count_if(column.numbers.begin(), column.numbers.end(), [](double x) { return std::isnan(x); }));
  }
  Set(row, kRows, std::log1p(static_cast<double>(table.rows)));
  Set(row, kNumericColumns, static_cast<double>(numeric));
  const double cells = static_cast<double>(numeric) * static_cast<double>(table.rows);
  if (cells > 0) return Set(row, kMissingShare, static_cast<double>(missing) / cells);
  Miss(row, kMissingShare, kMissingShare, "the file has no numeric cell");
}

}  // namespace

void FillPredictionFeatures(const CsvTable& table, std::string_view task, Row& row) {
  TableFeatures(table, row);
  if (table.rows == 0) return Miss(row, kTrueEntropy, kDetermination, "the predictions file has no rows");
  const PredictionRoles roles = FindRoles(table);
  const std::string lower = absl::AsciiStrToLower(artifact::ForAbsl(task));
  const bool regression = (lower.find("regress") != lower.npos) || (lower.find("forecast") != lower.npos);
  Labels labels;
  if (regression) {
    labels.why_not = "the task is a regression";
  } else {
    labels = ReadLabels(roles, table.rows);
  }
  LabelFeatures(labels, row);
  if (const std::vector<float> confidence = Confidences(roles, table.rows); !confidence.empty()) {
    ConfidenceShape(confidence, row);
    ConfidenceAgainstTruth(confidence, labels, row);
  } else {
    Miss(row, kConfidenceMean, kCalibrationError, "no numeric column is named as confidences or probabilities are");
  }
  ClassMass(roles, row);
  if (labels.why_not.empty()) return Miss(row, kResidualMean, kDetermination, "the labels are classes");
  ResidualFeatures(roles, table.rows, row);
}

}  // namespace driftseal::fingerprint
