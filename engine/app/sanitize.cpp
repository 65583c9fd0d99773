#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/fingerprint/predictions.h"
#include "engine/screen/fleet.h"

namespace driftseal::app {
namespace {

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

// The rows to drop: the `contamination` share with the highest scores; of equal scores the later rows stay.
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

std::string DefaultOutput(const std::string& input) {
  const std::string stem = input.ends_with(".csv") ? input.substr(0, input.size() - 4) : input;
  return artifact::Cat(stem, ".sanitized.csv");
}

}  // namespace

int SanitizePredictions(const Arguments& arguments) {
  const std::string& input = arguments.paths.front();
  const std::string output = arguments.output_path.empty() ? DefaultOutput(input) : arguments.output_path;
  std::error_code error;
  if (std::filesystem::exists(output, error) && !arguments.overwrite) {
    return Fail(absl::AlreadyExistsError(artifact::Cat(output, ": is there already (--overwrite replaces it)")));
  }
  absl::StatusOr<artifact::Source> source = artifact::Source::Open(input);
  if (!source.ok()) return Fail(source.status());
  absl::StatusOr<fingerprint::CsvTable> table = fingerprint::ReadCsv(*source);
  if (!table.ok()) return Fail(table.status());
  const std::vector<double> scores = fingerprint::RowScores(*table);
  if (scores.size() != table->rows || table->rows == 0) {
    return Fail(absl::InvalidArgumentError(artifact::Cat(input, ": has no rows with a numeric column to judge by")));
  }
  std::vector<std::byte> scratch;
  absl::StatusOr<std::span<const std::byte>> bytes = source->ReadAll(fingerprint::kCsvLimitBytes, scratch);
  if (!bytes.ok()) return Fail(bytes.status());
  const std::vector<std::string_view> records = Records({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (records.size() != table->rows + 1) {
    return Fail(absl::InternalError(
        artifact::Cat(input, ": ", records.size(), " records, but ", table->rows, " rows were read")));
  }
  const std::vector<bool> dropped = Dropped(scores, arguments.contamination);
  std::string kept(records.front());
  double least = 1;
  for (size_t row = 0; row < table->rows; ++row) {
    if (dropped[row]) {
      least = std::min(least, scores[row]);
    } else {
      kept += artifact::Cat(records[row + 1]);
    }
  }
  if (absl::Status status = artifact::WriteFileAtomically(output, kept); !status.ok()) return Fail(status);
  const auto count = static_cast<size_t>(std::count(dropped.begin(), dropped.end(), true));
  if (arguments.json) {
    nlohmann::ordered_json json = {{"format", "driftseal-sanitize/1"},
                                   {"predictions_path", input},
                                   {"output_path", output},
                                   {"contamination", arguments.contamination},
                                   {"rows", table->rows}};
    auto rows = nlohmann::ordered_json::array();
    for (size_t row = 0; row < table->rows; ++row) {
      if (dropped[row]) rows.push_back({{"row", row + 1}, {"score", scores[row]}});
    }
    json["dropped"] = std::move(rows);
    std::printf("%s\n", screen::Dump(json, 2).c_str());
  } else {
    std::printf("%zu of %zu rows dropped", count, table->rows);
    if (count > 0) std::printf(" (isolation-forest score %.3f and above)", least);
    std::printf("; %s\n", output.c_str());
  }
  return 0;
}

}  // namespace driftseal::app
