#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/artifact/text.h"
#include "engine/fingerprint/predictions.h"
#include "kernels/forest/forest.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
namespace forest = kernels::forest;

constexpr double kAnomalous = 0.65;
constexpr size_t kWorstRows = 5;
constexpr uint64_t kScanSeed = 0x5EA1;

// 0, 1, 2, ... or 1, 2, 3, ...: the row numbers that data frames write beside their columns tell nothing about a row.
bool CountsRows(const std::vector<double>& numbers) {
  if (numbers.empty() || (numbers[0] != 0 && numbers[0] != 1)) return false;
  for (size_t i = 1; i < numbers.size(); ++i) {
    if (numbers[i] != numbers[i - 1] + 1) return false;
  }
  return true;
}

float ToFloat(double value) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(value, -kMost, kMost));
}

// The median of the cells that are there; NaN when none is.
double Median(std::vector<double> numbers) {
  std::erase_if(numbers, [](double x) { return std::isnan(x); });
  if (numbers.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = numbers.begin() + static_cast<ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

struct NumericRows {
  std::vector<float> values;
  size_t columns = 0;
};

NumericRows ImputedRows(const CsvTable& table) {
  std::vector<std::pair<const CsvTable::Column*, double>> used;
  for (const CsvTable::Column& column : table.columns) {
    if (!column.numeric || CountsRows(column.numbers)) continue;
    const double median = Median(column.numbers);
    if (!std::isnan(median)) used.emplace_back(&column, median);
  }
  NumericRows rows{std::vector<float>(table.rows * used.size()), used.size()};
  for (size_t c = 0; c < used.size(); ++c) {
    const auto& [column, median] = used[c];
    for (size_t r = 0; r < table.rows; ++r) {
      const double value = column->numbers[r];
      rows.values[r * used.size() + c] = ToFloat(std::isnan(value) ? median : value);
    }
  }
  return rows;
}

std::vector<double> Scores(const NumericRows& rows, size_t count) {
  // A single row has nothing to stand out from: the score of a row that is as easy to isolate as any.
  if (count < 2) return std::vector<double>(count, 0.5);
  const kernels::RowsView<float> view{rows.values.data(), count, rows.columns};
  const forest::Forest fitted = forest::Fit(view, {.trees = 100, .sample_size = 256, .seed = kScanSeed});
  std::vector<double> scores(count);
  forest::ScoreReference(fitted, view, scores);
  return scores;
}

}  // namespace

std::vector<double> RowScores(const CsvTable& table) {
  const NumericRows rows = ImputedRows(table);
  return rows.columns == 0 ? std::vector<double>() : Scores(rows, table.rows);
}

absl::StatusOr<PredictionScan> ScanPredictions(const CsvTable& table) {
  if (table.rows < 2) {
    return absl::FailedPreconditionError(
        Cat("expected at least 2 rows to compare with each other, found ", table.rows));
  }
  const NumericRows rows = ImputedRows(table);
  if (rows.columns == 0)
    return absl::FailedPreconditionError("expected a numeric column besides row numbers, found none");
  const std::vector<double> scores = Scores(rows, table.rows);

  PredictionScan scan{.rows = table.rows, .numeric_columns = rows.columns, .worst = {}};
  const auto above = std::count_if(scores.begin(), scores.end(), [](double s) { return s > kAnomalous; });
  scan.anomalous_share = static_cast<double>(above) / static_cast<double>(table.rows);
  std::vector<size_t> order(table.rows);
  std::iota(order.begin(), order.end(), size_t{0});
  const size_t shown = std::min(kWorstRows, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(shown), order.end(),
                    [&](size_t a, size_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  for (size_t i = 0; i < shown; ++i) scan.worst.emplace_back(order[i] + 1, scores[order[i]]);
  scan.max_score = scan.worst.front().second;
  return scan;
}

}  // namespace driftseal::fingerprint
