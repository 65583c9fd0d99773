#ifndef DRIFTSEAL_ENGINE_APP_ROWS_H_
#define DRIFTSEAL_ENGINE_APP_ROWS_H_

#include <string_view>

#include "engine/app/arguments.h"

namespace driftseal::app {

/// Whether `score` is given rows (a CSV with a column for each of the detector's features) and not a model.
bool IsRowsPath(std::string_view path);
/// Scores each row of a CSV with the detector of --model-dir, of whatever schema: for detectors imported from
/// scikit-learn and for rows that are no models. Writes JSON with --format json.
int ScoreRows(const Arguments& arguments);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_ROWS_H_
