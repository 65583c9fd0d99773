// Predictions files: any bytes are either read into a table whose columns agree with each other, or refused with a
// message; a table goes through the features and, where it is small, the scan.
#include <cstdlib>

#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/prediction_features.h"
#include "engine/fingerprint/predictions.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace driftseal::fingerprint;
  const auto table = ParseCsv({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!table.ok()) {
    if (table.status().message().empty()) std::abort();
    return 0;
  }
  for (const CsvTable::Column& column : table->columns) {
    if ((column.numeric ? column.numbers.size() : column.texts.size()) != table->rows) std::abort();
  }
  Row row(kColumns);
  FillPredictionFeatures(*table, size % 2 == 0 ? "classification" : "regression", row);
  if (table->rows <= 16) {
    const auto scores = RowScores(*table);
    if (!scores.empty() && scores.size() != table->rows) std::abort();
  }
  return 0;
}
