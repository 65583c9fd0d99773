#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/replaying.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
#include "engine/fingerprint/schema.h"
#include "engine/screen/fleet.h"
#include "engine/screen/screen.h"

namespace driftseal::app {
namespace {

using fingerprint::Fingerprint;

std::string ReasonFor(const Fingerprint& fingerprint, size_t column) {
  for (const fingerprint::Missing& gap : fingerprint.missing) {
    if (column >= gap.first && column < gap.first + gap.count) return gap.reason;
  }
  return "";
}

void PrintTable(const std::string& path, const Fingerprint& fingerprint) {
  std::printf("%s  family %s\n", Paint(Colour::kBold, path).c_str(), Printable(fingerprint.family.Key()).c_str());
  Table table({"FEATURE", "VALUE", "UNIT", ""});
  const auto& features = fingerprint::ModelSchema().features;
  for (size_t i = 0; i < features.size(); ++i) {
    const bool there = !std::isnan(fingerprint.values[i]);
    table.Add({features[i].name, there ? absl::StrFormat("%.6g", fingerprint.values[i]) : "-", features[i].unit,
               there ? "" : ReasonFor(fingerprint, i)});
  }
  table.Print(4);
}

std::string CsvHeader() {
  std::string line = "path,family";
  for (const fingerprint::Feature& feature : fingerprint::ModelSchema().features) line += "," + feature.name;
  return line;
}

// RFC 4180: quotes within a quoted cell are doubled.
std::string Quoted(const std::string& text) {
  std::string cell = "\"";
  for (char c : text) cell += c == '"' ? "\"\"" : std::string(1, c);
  return cell + '"';
}

// Nine digits bring a float32 back exactly.
std::string CsvLine(const std::string& path, const Fingerprint& fingerprint) {
  std::string line = Quoted(path) + "," + Quoted(fingerprint.family.Key());
  for (float value : fingerprint.values) line += std::isnan(value) ? "," : absl::StrFormat(",%.9g", value);
  return line;
}

nlohmann::ordered_json ToJson(const std::string& path, const Fingerprint& fingerprint) {
  nlohmann::ordered_json json = {{"path", path}, {"family", fingerprint.family.Key()}};
  const auto& features = fingerprint::ModelSchema().features;
  for (size_t i = 0; i < features.size(); ++i) json["values"][features[i].name] = fingerprint.values[i];  // NaN: null
  json["covariates"] = nlohmann::ordered_json::object();
  for (const auto& [name, value] : fingerprint.covariates) json["covariates"][name] = value;
  json["missing"] = nlohmann::ordered_json::array();
  for (const fingerprint::Missing& gap : fingerprint.missing) {
    json["missing"].push_back({{"first", features[gap.first].name}, {"count", gap.count}, {"reason", gap.reason}});
  }
  return json;
}

// With the canary sets of the detector in --model-dir, where one is there.
absl::StatusOr<screen::Replaying> Replaying(const Arguments& arguments) {
  const absl::StatusOr<detector::Detector> detector = LoadDetector(arguments);
  if (absl::IsNotFound(detector.status())) return screen::Replaying();
  if (!detector.ok()) return detector.status();
  return OpenReplaying(arguments, &*detector);
}

}  // namespace

int PrintFingerprints(const Arguments& arguments) {
  absl::StatusOr<Inputs> inputs = FindInputs(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  const absl::StatusOr<screen::Replaying> replaying = Replaying(arguments);
  if (!replaying.ok()) return Fail(replaying.status());
  const fingerprint::Options options{.prober = replaying->prober.get()};
  const bool csv = !arguments.json && inputs->subjects.size() > 1;
  if (csv) std::printf("%s\n", CsvHeader().c_str());
  int code = 0;
  for (const screen::Subject& subject : inputs->subjects) {
    absl::StatusOr<screen::Fingerprinted> read = screen::FingerprintOf(subject, inputs->root, options);
    if (!read.ok()) {
      code = Fail(read.status());
    } else if (arguments.json) {
      std::printf("%s\n", screen::Dump(ToJson(subject.path, read->fingerprint)).c_str());
    } else if (csv) {
      std::printf("%s\n", CsvLine(subject.path, read->fingerprint).c_str());
    } else {
      PrintTable(subject.path, read->fingerprint);
    }
  }
  return code;
}

}  // namespace driftseal::app
