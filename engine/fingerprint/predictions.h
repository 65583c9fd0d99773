#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_PREDICTIONS_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_PREDICTIONS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/source.h"

namespace driftseal::fingerprint {

inline constexpr uint64_t kCsvLimitBytes = 256u << 20;
inline constexpr size_t kCsvColumnLimit = 10'000;

/// A CSV (RFC 4180: quotes, CRLF or LF) with a header row. Columns in which every non-empty cell is a finite number are
/// numeric; an empty cell is NaN.
struct CsvTable {
  struct Column {
    std::string name;
    bool numeric = false;
    std::vector<double> numbers;     ///< When numeric: one a row.
    std::vector<std::string> texts;  ///< Otherwise.
  };
  std::vector<Column> columns;
  size_t rows = 0;
};
/// InvalidArgument naming file, line, column and expectation (a ragged row, an open quote, bytes that are not UTF-8).
absl::StatusOr<CsvTable> ParseCsv(std::string_view text, std::string_view file_name);
absl::StatusOr<CsvTable> ReadCsv(const artifact::Source& source);

/// How far the rows of a predictions file stand out from each other, by an isolation forest over its numeric columns
/// (seeded, the same file gives the same result).
struct PredictionScan {
  size_t rows = 0, numeric_columns = 0;
  double anomalous_share = 0;  ///< Share of rows whose score exceeds 0.65.
  double max_score = 0;
  std::vector<std::pair<size_t, double>> worst;  ///< Up to 5 (row from 1, score), worst first.
};
absl::StatusOr<PredictionScan> ScanPredictions(const CsvTable& table);
/// Per row score of that scan, for sanitize_predictions. Empty when no column is numeric.
std::vector<double> RowScores(const CsvTable& table);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_PREDICTIONS_H_
