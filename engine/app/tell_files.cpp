#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "absl/strings/str_format.h"
#include "engine/app/json_fields.h"
#include "engine/app/tell.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"

namespace driftseal::app {
namespace {

using nlohmann::ordered_json;

// What the calibration set of a family is good for, in words.
std::string Promise(const ordered_json& family, double alpha, double delta) {
  const uint64_t calibrated_on = CountOf(family, "calibrated_on");
  if (1.0 / (static_cast<double>(calibrated_on) + 1) > alpha) {
    return absl::StrFormat("uncalibrated: %d models, α = %.3g needs %d", calibrated_on, alpha,
                           static_cast<int>(1 / alpha + 0.999999) - 1);
  }
  const ordered_json& guarantee = PartOf(family, "guarantee");
  if (PartOf(guarantee, "threshold").is_number()) {
    return absl::StrFormat("≤ %.3g %% false alarms, also with %.3g %% confidence", 100 * alpha, 100 * (1 - delta));
  }
  return absl::StrFormat("≤ %.3g %% false alarms on average (with %.3g %% confidence from %d models on)", 100 * alpha,
                         100 * (1 - delta), CountOf(guarantee, "models_needed"));
}

// Which detector scores the family, and on what.
std::string Detector(const ordered_json& family) {
  if (!FlagOf(family, "own_detector")) return "global";
  const std::string view = TextOf(family, "view");
  if (view == "behaviour") return "own, by behaviour";
  return view == "still" ? "own, by what holds still" : "own";
}

// Which models were run, and why others were not.
void TellBehaviour(const ordered_json& behaviour) {
  if (!behaviour.is_object()) return;
  std::string sets;
  for (const ordered_json& set : PartOf(behaviour, "canary_sets")) {
    sets += artifact::Cat(sets.empty() ? "" : ", ", TextOf(set, "name"), " (", CountOf(set, "inputs"), " inputs)");
  }
  std::printf("behaviour of %zu models measured on %s, %s of replay\n", CountOf(behaviour, "measured"),
              Printable(sets).c_str(), Duration(NumberOf(behaviour, "replay_seconds")).c_str());
  for (const ordered_json& group : PartOf(behaviour, "not_run")) {
    const std::string text = artifact::Cat(CountOf(group, "models"), " by files alone: ", TextOf(group, "reason"), " (",
                                           TextOf(group, "example"), ")");
    std::printf("%s\n", Printable(text).c_str());
  }
}

}  // namespace

void TellFit(const Arguments& arguments, const ordered_json& summary, double seconds, const std::string& place,
             const std::string& next) {
  if (arguments.json) {
    std::printf("%s\n", screen::Dump(summary, 2).c_str());
    return;
  }
  Table table({"FAMILY", "FITTED", "CALIBRATED", "FEATURES", "DETECTOR", "PROMISE"});
  for (const ordered_json& family : PartOf(summary, "families")) {
    table.Add({TextOf(family, "family"), artifact::Cat(CountOf(family, "fitted_on")),
               artifact::Cat(CountOf(family, "calibrated_on")), artifact::Cat(CountOf(family, "features_used")),
               Detector(family), Promise(family, arguments.alpha, arguments.delta)});
  }
  table.Print(6);
  TellBehaviour(PartOf(summary, "behaviour"));
  for (const ordered_json& model : PartOf(summary, "left_out")) {
    const std::string text = artifact::Cat(TextOf(model, "path"), ": ", TextOf(model, "reason"));
    std::printf("left out: %s\n", Printable(text).c_str());
  }
  std::printf("\n%s@%zu fitted on %zu models in %s, saved to %s\n", Printable(TextOf(summary, "name")).c_str(),
              CountOf(summary, "version"), CountOf(summary, "models"), Duration(seconds).c_str(), place.c_str());
  std::printf("Next: driftseal verify_all FOLDER%s\n", next.c_str());
}

int TellChanges(const Arguments& arguments, const std::vector<screen::Change>& changes, const char* format) {
  bool errors = false, mismatches = false;
  std::map<std::string, size_t> counts;
  ordered_json entries = ordered_json::array();
  for (const screen::Change& change : changes) {
    ++counts[change.outcome];
    errors |= change.outcome == "error";
    mismatches |= change.outcome == "mismatch";
    entries.push_back(screen::ToJson(change));
    if (!arguments.json && change.outcome != "complete" && change.outcome != "skipped") {
      std::printf("%s  %s  %s\n", Paint(ColourOf(change.outcome), artifact::Cat(change.outcome)).c_str(),
                  Printable(change.path).c_str(), Printable(change.detail).c_str());
    }
  }
  if (arguments.json) {
    std::printf("%s\n", screen::Dump({{"format", format}, {"files", entries}}, 2).c_str());
  } else {
    std::string summary;
    for (const auto& [outcome, count] : counts)
      summary += artifact::Cat(summary.empty() ? "" : ", ", count, " ", outcome);
    std::printf("%zu files%s%s\n", changes.size(), summary.empty() ? "" : ": ", summary.c_str());
  }
  return mismatches ? 1 : errors ? 3 : 0;
}

void TellSanitized(const Arguments& arguments, const ordered_json& report) {
  if (arguments.json) {
    std::printf("%s\n", screen::Dump(report, 2).c_str());
    return;
  }
  const ordered_json& dropped = PartOf(report, "dropped");
  std::printf("%zu of %zu rows dropped", dropped.size(), CountOf(report, "rows"));
  double least = 1;
  for (const ordered_json& row : dropped) least = std::fmin(least, NumberOf(row, "score"));
  if (!dropped.empty()) std::printf(" (isolation-forest score %.3f and above)", least);
  std::printf("; %s\n", Printable(TextOf(report, "output_path")).c_str());
}

}  // namespace driftseal::app
