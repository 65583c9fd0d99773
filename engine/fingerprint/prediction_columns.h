#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_PREDICTION_COLUMNS_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_PREDICTION_COLUMNS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fingerprint/predictions.h"

namespace driftseal::fingerprint {

/// What the columns of a predictions file are, by their names in any case; nullptr where there is none.
struct PredictionRoles {
  const CsvTable::Column* truth = nullptr;             ///< y_true, label, target, ...
  const CsvTable::Column* predicted = nullptr;         ///< y_pred, prediction, ...
  const CsvTable::Column* confidence = nullptr;        ///< confidence, max_prob, ...
  std::vector<const CsvTable::Column*> probabilities;  ///< p_*, prob*, score*: numeric ones only.
};
PredictionRoles FindRoles(const CsvTable& table);

/// Labels as indices of `classes`; kNoLabel for an empty cell.
inline constexpr uint32_t kNoLabel = 0xFFFFFFFF;
inline constexpr size_t kClassLimit = 256;
struct Labels {
  std::vector<uint32_t> truth, predicted;  ///< One a row; empty when the column is not there.
  size_t classes = 0;                      ///< Of both columns together.
  std::string why_not;                     ///< Not empty: the columns do not hold labels, and why.
};
/// Labels are texts or whole numbers, at most kClassLimit different ones.
Labels ReadLabels(const PredictionRoles& roles, size_t rows);

/// One value a row, NaN where it is not known; empty when the file has no confidence and no probabilities.
std::vector<float> Confidences(const PredictionRoles& roles, size_t rows);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_PREDICTION_COLUMNS_H_
