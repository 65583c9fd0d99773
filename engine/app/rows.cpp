#include "engine/app/rows.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/app/inputs.h"
#include "engine/app/terminal.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/fingerprint/predictions.h"
#include "engine/screen/fleet.h"

namespace driftseal::app {
namespace {

using Column = fingerprint::CsvTable::Column;

// The table's columns in the order of the detector's features: by name, or by position where no name is a feature's.
absl::StatusOr<std::vector<const Column*>> Align(const fingerprint::CsvTable& table, const detector::SchemaId& schema,
                                                 const std::string& path) {
  std::map<std::string, const Column*> by_name;
  for (const Column& column : table.columns) by_name.emplace(column.name, &column);
  size_t known = 0;
  for (const std::string& feature : schema.features) known += by_name.contains(feature);
  std::vector<const Column*> columns;
  for (size_t i = 0; i < schema.features.size(); ++i) {
    const auto named = by_name.find(schema.features[i]);
    const bool by_position = known == 0 && table.columns.size() == schema.features.size();
    if (named == by_name.end() && !by_position) {
      return absl::InvalidArgumentError(artifact::Cat(path, ": column ", schema.features[i],
                                                      " is missing; the detector reads ", schema.features.size(),
                                                      " columns, the file has ", table.columns.size()));
    }
    columns.push_back(by_position ? &table.columns[i] : named->second);
    if (!columns.back()->numeric) {
      return absl::InvalidArgumentError(artifact::Cat(path, ": column ", columns.back()->name, ": expected numbers"));
    }
  }
  return columns;
}

nlohmann::ordered_json ToJson(const detector::Score& score, size_t row) {
  nlohmann::ordered_json json = {{"row", row}, {"combined", score.combined}, {"p_value", nullptr}};
  if (score.p_value) json["p_value"] = *score.p_value;
  for (const detector::MemberScore& member : score.members) {
    json["members"][member.member] = {{"raw", member.raw}, {"normalised", member.normalised}};
  }
  if (!score.remark.empty()) json["remark"] = score.remark;
  return json;
}

void PrintText(const std::vector<detector::Score>& scores) {
  std::vector<std::string> header = {"ROW", "COMBINED", "P"};
  for (const detector::MemberScore& member : scores.front().members) header.push_back(member.member);
  Table table(header);
  for (size_t i = 0; i < scores.size(); ++i) {
    std::vector<std::string> cells = {artifact::Cat(i + 1), absl::StrFormat("%.6g", scores[i].combined),
                                      scores[i].p_value ? absl::StrFormat("%.3g", *scores[i].p_value) : "-"};
    for (const detector::MemberScore& member : scores[i].members) cells.push_back(absl::StrFormat("%.8g", member.raw));
    table.Add(std::move(cells));
  }
  table.Print(header.size());
  if (!scores.front().remark.empty()) std::printf("%s\n", Printable(scores.front().remark).c_str());
}

// The family whose detector is meant: the only one there is, or none in particular.
std::string OnlyFamily(const detector::Detector& detector) {
  const auto families = detector.families();
  return families.size() == 1 ? families.front().key : "";
}

// In batches, so that rows of a long table are not held twice.
absl::StatusOr<std::vector<detector::Score>> ScoreTable(const detector::Detector& detector,
                                                        const fingerprint::CsvTable& table,
                                                        const std::vector<const Column*>& columns,
                                                        const std::string& path) {
  constexpr size_t kBatchRows = 16384;
  const std::string family = OnlyFamily(detector);
  std::vector<detector::Score> scores;
  std::vector<double> values;
  for (size_t first = 0; first < table.rows; first += kBatchRows) {
    const size_t count = std::min(kBatchRows, table.rows - first);
    values.resize(count * columns.size());
    std::vector<detector::Row> rows;
    for (size_t i = 0; i < count; ++i) {
      double* row = values.data() + i * columns.size();
      for (size_t c = 0; c < columns.size(); ++c) row[c] = columns[c]->numbers[first + i];
      rows.push_back({{row, columns.size()}, family});
    }
    absl::StatusOr<std::vector<detector::Score>> batch = detector.ScoreRows(rows);
    if (!batch.ok()) {
      const std::string where = first > 0 ? artifact::Cat(path, ", from row ", first + 1, " on: ") : path + ": ";
      return absl::Status(batch.status().code(), artifact::Cat(where, batch.status().message()));
    }
    std::move(batch->begin(), batch->end(), std::back_inserter(scores));
  }
  return scores;
}

}  // namespace

bool IsRowsPath(std::string_view path) { return (path.ends_with(".csv") || path.ends_with(".CSV")); }

int ScoreRows(const Arguments& arguments) {
  const std::string& path = arguments.paths.front();
  absl::StatusOr<detector::Detector> detector = LoadDetector(arguments);
  if (!detector.ok()) return Fail(detector.status());
  absl::StatusOr<artifact::Source> source = artifact::Source::Open(path);
  if (!source.ok()) return Fail(source.status());
  absl::StatusOr<fingerprint::CsvTable> table = fingerprint::ReadCsv(*source);
  if (!table.ok()) return Fail(table.status());
  absl::StatusOr<std::vector<const Column*>> columns = Align(*table, detector->schema(), path);
  if (!columns.ok()) return Fail(columns.status());
  if (table->rows == 0) return Fail(absl::InvalidArgumentError(artifact::Cat(path, ": has no rows to score")));
  // What was imported scores as it did where it came from, to 1e-5, which float32 does not promise.
  if (absl::Status status =
          ChooseBackend(arguments, detector->origin() == "driftseal" ? "auto" : "reference", *detector);
      !status.ok())
    return Fail(status);
  absl::StatusOr<std::vector<detector::Score>> scored = ScoreTable(*detector, *table, *columns, path);
  if (!scored.ok()) return Fail(scored.status());
  const std::vector<detector::Score>& scores = *scored;
  bool flagged = false, uncalibrated = false;
  for (const detector::Score& score : scores) {
    flagged |= score.p_value && *score.p_value <= arguments.alpha;
    uncalibrated |= !score.p_value;
  }
  nlohmann::ordered_json json = {
      {"format", "driftseal-rows/1"}, {"path", path}, {"rows", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < scores.size(); ++i) json["rows"].push_back(ToJson(scores[i], i + 1));
  const std::string text = screen::Dump(json, 2) + "\n";
  if (!arguments.output_path.empty()) {
    if (absl::Status status = artifact::WriteFileAtomically(arguments.output_path, text); !status.ok())
      return Fail(status);
  }
  if (arguments.json) {
    std::fputs(text.c_str(), stdout);
  } else {
    PrintText(scores);
  }
  return flagged ? 1 : uncalibrated ? 4 : 0;
}

}  // namespace driftseal::app
