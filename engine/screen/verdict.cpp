#include "engine/screen/verdict.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/artifact/text.h"

namespace driftseal::screen {
namespace {

using fingerprint::FileEvidence;

std::string Percent(double share) { return absl::StrFormat("%.3g %%", 100 * share); }

std::string ModelCount(size_t n) { return artifact::Cat(n, n == 1 ? " model" : " models"); }

Signal FileSignal(const FileEvidence& file, std::string kind, Severity severity, std::string text) {
  Signal signal{std::move(kind), severity, std::move(text), {{"role", file.role}, {"path", file.path}}};
  if (file.recorded) signal.evidence["recorded_sha256"] = file.recorded->Hex();
  if (file.actual) signal.evidence["actual_sha256"] = file.actual->Hex();
  return signal;
}

// Whether the file itself was refused, and not this process by the file's permissions: it was hashed (and then read as
// far as what it asks for), or its name led out of the root (the words are those of artifact::Root::OpenFile).
bool Refused(const FileEvidence& file) {
  return file.actual || file.status.message().find("leads out of the root") != absl::string_view::npos;
}

// A file that could not be opened, hashed or read. What the readers' status codes mean: engine/artifact/model_file.h.
Signal TroubleSignal(const FileEvidence& file) {
  const std::string text(file.status.message());
  Signal signal = [&] {
    switch (file.status.code()) {
      case absl::StatusCode::kPermissionDenied:
        return Refused(file) ? FileSignal(file, "refused-file", Severity::kCritical, text)
                             : FileSignal(file, "unreadable-file", Severity::kUnknown, text);
      case absl::StatusCode::kInvalidArgument:
      case absl::StatusCode::kOutOfRange:
        return FileSignal(file, "malformed-file", Severity::kConcern, text);
      case absl::StatusCode::kResourceExhausted:
        return FileSignal(file, "limit-exceeded", Severity::kConcern, text);
      case absl::StatusCode::kAborted:
        return FileSignal(file, "changed-while-read", Severity::kConcern, text);
      case absl::StatusCode::kNotFound:
        // A digest was recorded for something that is no longer there: that is a finding. Without one, nothing is
        // known.
        return file.recorded ? FileSignal(file, "missing-file", Severity::kConcern, text)
                             : FileSignal(file, "missing-file", Severity::kUnknown, text);
      case absl::StatusCode::kUnimplemented:
        return FileSignal(file, "unknown-format", Severity::kUnknown, text);
      default:
        return FileSignal(file, "unreadable-file", Severity::kUnknown, text);
    }
  }();
  signal.evidence["code"] = absl::StatusCodeToString(file.status.code());
  return signal;
}

std::string DriverText(const detector::Driver& driver, const detector::SchemaId& schema) {
  const std::string& name = schema.features.at(driver.feature);
  if (!std::isfinite(driver.robust_z)) {
    return absl::StrFormat("%s = %.4g where every reference model has %.4g", name, driver.value, driver.median);
  }
  return absl::StrFormat("%s = %.4g, %.1f robust deviations %s the median %.4g", name, driver.value,
                         std::abs(driver.robust_z), driver.robust_z < 0 ? "below" : "above", driver.median);
}

nlohmann::ordered_json DriversJson(const detector::Score& score, const detector::SchemaId& schema) {
  auto drivers = nlohmann::ordered_json::array();
  for (const detector::Driver& driver : score.drivers) {
    nlohmann::ordered_json entry = {{"feature", schema.features.at(driver.feature)},
                                    {"value", driver.value},
                                    {"median", driver.median},
                                    {"robust_z", driver.robust_z},
                                    {"share", driver.share}};
    drivers.push_back(std::move(entry));
  }
  return drivers;
}

// Which models the p-value compares with.
std::string ComparedWith(const detector::Score& score) {
  return score.basis == detector::Basis::kFamily
             ? artifact::Cat(ModelCount(score.calibrated_on), " of its family")
             : artifact::Cat(ModelCount(score.calibrated_on), " of all families (its own has too few for a detector)");
}

// What the score rests on.
std::string RestsOn(const detector::Score& score, const fingerprint::BehaviourEvidence* behaviour) {
  if (score.view == detector::View::kFiles) return "by its files alone";
  std::string text = "by its behaviour";
  if (behaviour != nullptr) text += artifact::Cat(" on ", behaviour->set_inputs, " canary inputs");
  if (score.view == detector::View::kStill) text += ", as far as that holds still when the recipe changes";
  return text;
}

std::string RangeText(const detector::RangeNote& note, const detector::SchemaId& schema) {
  return absl::StrFormat("outside of the calibrated range: %s = %.4g, the reference models have %.4g to %.4g",
                         schema.features.at(note.feature), note.value, note.low, note.high);
}

// Outside of the range that was calibrated, where a p-value promises less, an alarm needs a score beyond those of all
// calibration models.
bool IsClear(const detector::Score& score) {
  return score.calibration_largest && score.combined > *score.calibration_largest;
}

}  // namespace

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass:
      return "pass";
    case Outcome::kReview:
      return "review";
    case Outcome::kQuarantine:
      return "quarantine";
    case Outcome::kInconclusive:
      return "inconclusive";
  }
  return "";
}

std::string_view SeverityName(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kUnknown:
      return "unknown";
    case Severity::kConcern:
      return "concern";
    case Severity::kCritical:
      return "critical";
  }
  return "";
}

std::vector<Signal> IntegritySignals(const fingerprint::Fingerprint& fingerprint) {
  std::vector<Signal> signals;
  size_t matched = 0;
  for (const FileEvidence& file : fingerprint.files) {
    const bool differs = file.recorded && file.actual && *file.recorded != *file.actual;
    if (differs) {
      signals.push_back(FileSignal(
          file, "digest-mismatch", Severity::kCritical,
          artifact::Cat(file.role, " ", file.path, " is not the file that was recorded: SHA-256 ",
                        file.actual->Hex().substr(0, 12), "…, recorded ", file.recorded->Hex().substr(0, 12), "…")));
    }
    if (!file.status.ok()) signals.push_back(TroubleSignal(file));
    matched += file.recorded && file.actual && !differs;
  }
  if (matched > 0) {
    signals.push_back({"digest-match",
                       Severity::kInfo,
                       artifact::Cat(matched, matched == 1 ? " file has" : " files have", " the recorded SHA-256"),
                       {{"files", matched}}});
  }
  return signals;
}

Signal ScoreSignal(const detector::Score& score, const detector::SchemaId& schema, const Policy& policy,
                   const fingerprint::BehaviourEvidence* behaviour) {
  Signal signal{"score", Severity::kInfo, "", {}};
  signal.evidence["combined"] = score.combined;
  signal.evidence["calibrated_on"] = score.calibrated_on;
  signal.evidence["fitted_on"] = score.fitted_on;
  signal.evidence["view"] = detector::ViewName(score.view);
  signal.evidence["drivers"] = DriversJson(score, schema);
  // The least p-value n calibration models can give is 1/(n+1): below that no alarm at this level is possible, and so
  // nothing it lets through may be called a pass.
  const double resolution = 1.0 / (static_cast<double>(score.calibrated_on) + 1);
  if (score.basis == detector::Basis::kUnseenFamily) {
    signal.kind = "unseen-family";
    signal.severity = Severity::kUnknown;
    signal.text = "no model of this family (domain, task, architecture) was there when the detector was fitted";
    return signal;
  }
  const std::optional<detector::RangeNote>& outside = score.out_of_range;
  if (outside) {
    signal.evidence["out_of_range"] = {{"feature", schema.features.at(outside->feature)},
                                       {"value", outside->value},
                                       {"low", outside->low},
                                       {"high", outside->high}};
    if (score.p_value && *score.p_value <= policy.alpha && !IsClear(score)) {
      signal.kind = "out-of-range";
      signal.severity = Severity::kUnknown;
      signal.text = artifact::Cat(RangeText(*outside, schema), "; its score stands out, but not clearly enough for an ",
                                  "alarm there");
      return signal;
    }
  }
  if (!score.p_value && resolution <= policy.alpha) {
    signal.kind = "uncalibrated";
    signal.severity = Severity::kUnknown;
    signal.text = score.remark.empty() ? "uncalibrated: the detector gave no p-value" : score.remark;
    return signal;
  }
  if (resolution > policy.alpha) {
    signal.kind = "uncalibrated";
    signal.severity = Severity::kUnknown;
    signal.text = artifact::Cat("uncalibrated: ", ModelCount(score.calibrated_on), " to compare with, ",
                                static_cast<size_t>(std::ceil(1 / policy.alpha)) - 1,
                                " are needed for α = ", Percent(policy.alpha));
    return signal;
  }
  signal.evidence["p_value"] = *score.p_value;
  signal.evidence["alpha"] = *score.p_value <= policy.quarantine_alpha ? policy.quarantine_alpha : policy.alpha;
  const std::string head =
      absl::StrFormat("p = %.3g against %s, %s", *score.p_value, ComparedWith(score), RestsOn(score, behaviour));
  if (*score.p_value > policy.alpha) {
    signal.text = artifact::Cat("in family: ", head);
    if (outside) signal.text += artifact::Cat("; ", RangeText(*outside, schema));
    return signal;
  }
  signal.severity = *score.p_value <= policy.quarantine_alpha ? Severity::kCritical : Severity::kConcern;
  signal.text = artifact::Cat("out of family: ", head);
  if (!score.drivers.empty()) signal.text += artifact::Cat("; ", DriverText(score.drivers.front(), schema));
  if (outside) signal.text += artifact::Cat("; ", RangeText(*outside, schema));
  return signal;
}

std::optional<Signal> PredictionSignal(const fingerprint::Fingerprint& fingerprint) {
  if (!fingerprint.scan || fingerprint.scan->rows == 0) return std::nullopt;
  const fingerprint::PredictionScan& scan = *fingerprint.scan;
  Signal signal{"prediction-scan",
                Severity::kInfo,
                absl::StrFormat("%s of %d prediction rows stand out", Percent(scan.anomalous_share), scan.rows),
                {{"rows", scan.rows},
                 {"numeric_columns", scan.numeric_columns},
                 {"anomalous_share", scan.anomalous_share},
                 {"max_score", scan.max_score}}};
  auto worst = nlohmann::ordered_json::array();
  for (const auto& [row, score] : scan.worst) worst.push_back({{"row", row}, {"score", score}});
  signal.evidence["worst"] = std::move(worst);
  return signal;
}

Verdict Decide(std::vector<Signal> signals) {
  std::stable_sort(signals.begin(), signals.end(),
                   [](const Signal& a, const Signal& b) { return a.severity > b.severity; });
  Outcome outcome = Outcome::kPass;
  if (!signals.empty()) {
    switch (signals.front().severity) {
      case Severity::kCritical:
        outcome = Outcome::kQuarantine;
        break;
      case Severity::kConcern:
        outcome = Outcome::kReview;
        break;
      case Severity::kUnknown:
        outcome = Outcome::kInconclusive;
        break;
      case Severity::kInfo:
        break;
    }
  }
  return {outcome, std::move(signals)};
}

}  // namespace driftseal::screen
