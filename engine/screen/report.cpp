#include "engine/screen/report.h"

#include <optional>
#include <utility>

#include "engine/artifact/model_file.h"

namespace driftseal::screen {
namespace {

using nlohmann::ordered_json;

ordered_json FilesJson(const fingerprint::Fingerprint& fingerprint) {
  auto files = ordered_json::array();
  for (const fingerprint::FileEvidence& file : fingerprint.files) {
    ordered_json entry = {{"role", file.role}, {"path", file.path}};
    if (file.recorded) entry["recorded_sha256"] = file.recorded->Hex();
    if (file.actual) entry["actual_sha256"] = file.actual->Hex();
    if (!file.status.ok()) entry["error"] = file.status.message();
    files.push_back(std::move(entry));
  }
  return files;
}

std::string_view BasisName(detector::Basis basis) {
  switch (basis) {
    case detector::Basis::kFamily:
      return "family";
    case detector::Basis::kGlobal:
      return "global";
    case detector::Basis::kUnseenFamily:
      return "unseen-family";
  }
  return "";
}

ordered_json ScoreJson(const detector::Score& score) {
  ordered_json members = ordered_json::object();
  for (const detector::MemberScore& member : score.members) {
    members[member.member] = {{"raw", member.raw}, {"normalised", member.normalised}};
  }
  ordered_json json = {{"combined", score.combined},      {"p_value", nullptr},
                       {"basis", BasisName(score.basis)}, {"members", std::move(members)},
                       {"fitted_on", score.fitted_on},    {"calibrated_on", score.calibrated_on}};
  if (score.p_value) json["p_value"] = *score.p_value;
  json["view"] = detector::ViewName(score.view);
  if (score.out_of_range) {
    const detector::RangeNote& note = *score.out_of_range;
    json["out_of_range"] = {{"feature", fingerprint::ModelSchema().features.at(note.feature).name},
                            {"value", note.value},
                            {"low", note.low},
                            {"high", note.high}};
  }
  if (!score.remark.empty()) json["remark"] = score.remark;
  return json;
}

ordered_json MissingJson(const fingerprint::Fingerprint& fingerprint) {
  auto missing = ordered_json::array();
  for (const fingerprint::Missing& gap : fingerprint.missing) {
    missing.push_back({{"first", fingerprint::ModelSchema().features.at(gap.first).name},
                       {"count", gap.count},
                       {"reason", gap.reason}});
  }
  return missing;
}

}  // namespace

ordered_json ToJson(const Result& result) {
  ordered_json entry = {{"path", result.path}};
  if (!result.error.ok()) {
    entry["verdict"] = "error";
    entry["error"] = result.error.message();
    return entry;
  }
  entry["model_name"] = result.model_name;
  entry["family"] = result.fingerprint.family.Key();
  if (result.skipped) {
    entry["verdict"] = "skipped";
    return entry;
  }
  entry["verdict"] = OutcomeName(result.verdict.outcome);
  if (result.score) entry["score"] = ScoreJson(*result.score);
  auto signals = ordered_json::array();
  for (const Signal& signal : result.verdict.signals) {
    signals.push_back({{"kind", signal.kind},
                       {"severity", SeverityName(signal.severity)},
                       {"text", signal.text},
                       {"evidence", signal.evidence.is_null() ? ordered_json::object() : signal.evidence}});
  }
  entry["signals"] = std::move(signals);
  if (result.fingerprint.format) entry["format"] = artifact::FormatName(*result.fingerprint.format);
  entry["files"] = FilesJson(result.fingerprint);
  if (!result.fingerprint.covariates.empty()) entry["covariates"] = result.fingerprint.covariates;
  entry["missing"] = MissingJson(result.fingerprint);
  return entry;
}

void Count(const ordered_json& entry, Tally& tally) {
  Count(std::string_view(entry.at("verdict").get_ref<const std::string&>()), tally);
}

void Count(std::string_view verdict, Tally& tally) {
  ++tally.models;
  if (verdict == "pass") ++tally.pass;
  if (verdict == "review") ++tally.review;
  if (verdict == "quarantine") ++tally.quarantine;
  if (verdict == "inconclusive") ++tally.inconclusive;
  if (verdict == "error") ++tally.errors;
  if (verdict == "skipped") ++tally.skipped;
}

ordered_json ToJson(const Tally& tally) {
  return {{"models", tally.models},
          {"pass", tally.pass},
          {"review", tally.review},
          {"quarantine", tally.quarantine},
          {"inconclusive", tally.inconclusive},
          {"error", tally.errors},
          {"skipped", tally.skipped}};
}

int ExitCode(const Tally& tally) {
  if (tally.review + tally.quarantine > 0) return 1;
  if (tally.errors > 0) return 3;
  return tally.inconclusive > 0 ? 4 : 0;
}

}  // namespace driftseal::screen
