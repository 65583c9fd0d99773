#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_PREDICTION_FEATURES_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_PREDICTION_FEATURES_H_

#include <string_view>

#include "engine/fingerprint/predictions.h"
#include "engine/fingerprint/row.h"

namespace driftseal::fingerprint {

/// Fills the group predictions. Columns are told by their names (docs/formats/fingerprint.md); `task` of the meta file
/// decides whether labels are classes or the values of a regression where the numbers alone leave it open.
void FillPredictionFeatures(const CsvTable& table, std::string_view task, Row& row);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_PREDICTION_FEATURES_H_
