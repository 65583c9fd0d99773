#include "engine/screen/sanitize.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string_view>

#include "engine/artifact/text.h"
#include "engine/fingerprint/predictions.h"

namespace driftseal::screen {
namespace {

using artifact::Cat;

// The records of a CSV as they stand in the text, each with its line end; a quoted field may hold line breaks.
std::vector<std::string_view> Records(std::string_view text) {
  std::vector<std::string_view> records;
  bool quoted = false;
  size_t begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    quoted ^= text[i] == '"';
    if (text[i] != '\n' || quoted) continue;
    records.push_back(text.substr(begin, i + 1 - begin));
    begin = i + 1;
  }
  if (begin < text.size()) records.push_back(text.substr(begin));
  std::erase_if(records, [](std::string_view record) { return record == "\n" || record == "\r\n"; });
  return records;
}

std::vector<bool> Dropped(const std::vector<double>& scores, double contamination) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  // 0.29 · 100 is 28.999...: a share that is meant to be whole rows is.
  const auto count = static_cast<size_t>(std::floor(contamination * static_cast<double>(scores.size()) + 1e-6));
  std::vector<bool> dropped(scores.size());
  for (size_t i = 0; i < count; ++i) dropped[order[i]] = true;
  return dropped;
}

}  // namespace

absl::StatusOr<Sanitized> Sanitize(const artifact::Source& source, double contamination) {
  if (!(contamination >= 0 && contamination <= 0.5)) {
    return absl::InvalidArgumentError(Cat("contamination is ", contamination, ", expected 0 to 0.5"));
  }
  const absl::StatusOr<fingerprint::CsvTable> table = fingerprint::ReadCsv(source);
  if (!table.ok()) return table.status();
  const std::vector<double> scores = fingerprint::RowScores(*table);
  if (scores.size() != table->rows || table->rows == 0) {
    return absl::InvalidArgumentError(Cat(source.name(), ": has no rows with a numeric column to judge by"));
  }
  std::vector<std::byte> scratch;
  const absl::StatusOr<std::span<const std::byte>> bytes = source.ReadAll(fingerprint::kCsvLimitBytes, scratch);
  if (!bytes.ok()) return bytes.status();
  const std::vector<std::string_view> records = Records({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (records.size() != table->rows + 1) {
    return absl::InternalError(
        Cat(source.name(), ": ", records.size(), " records, but ", table->rows, " rows were read"));
  }
  const std::vector<bool> dropped = Dropped(scores, contamination);
  Sanitized sanitized{table->rows, {}, std::string(records.front())};
  for (size_t row = 0; row < table->rows; ++row) {
    if (dropped[row]) {
      sanitized.dropped.emplace_back(row + 1, scores[row]);
    } else {
      sanitized.kept.append(records[row + 1]);
    }
  }
  return sanitized;
}

std::string SanitizedPath(const std::string& predictions_path) {
  constexpr std::string_view kEnding = ".csv";
  const bool csv = predictions_path.ends_with(kEnding);
  return Cat(predictions_path.substr(0, predictions_path.size() - (csv ? kEnding.size() : 0)), ".sanitized.csv");
}

nlohmann::ordered_json ToJson(const Sanitized& sanitized, const std::string& predictions_path,
                              const std::string& output_path, double contamination) {
  nlohmann::ordered_json json = {{"format", "driftseal-sanitize/1"},
                                 {"predictions_path", predictions_path},
                                 {"output_path", output_path},
                                 {"contamination", contamination},
                                 {"rows", sanitized.rows}};
  auto rows = nlohmann::ordered_json::array();
  for (const auto& [row, score] : sanitized.dropped) rows.push_back({{"row", row}, {"score", score}});
  json["dropped"] = std::move(rows);
  return json;
}

}  // namespace driftseal::screen
