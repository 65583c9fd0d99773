#include "engine/screen/verdict_behaviour.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/artifact/text.h"
#include "engine/canary/picture.h"
#include "engine/canary/prober.h"

namespace driftseal::screen {
namespace {

using artifact::Cat;
using fingerprint::BehaviourEvidence;
using nlohmann::ordered_json;
using replay::CanarySet;
using replay::RawBehaviour;

constexpr char kTriggerTest[] = "trigger-test";
constexpr std::string_view kSearch = "search: ";
constexpr size_t kMostColumns = 16;  // Of a table's trigger, in the evidence.
constexpr double kCollapse = 0.5;    // From this share on it is called one.

std::string Percent(double share) { return absl::StrFormat("%.3g %%", 100 * share); }

// One trigger and the class that most inputs collapse into under it.
struct Collapse {
  std::string trigger;
  size_t target = 0;
  double share = 0;            // Of the inputs that were not given the class before.
  std::vector<double> others;  // What each other class gets under the trigger that favours it most; ascending.
};

std::vector<double> Others(const std::vector<double>& reach, size_t target) {
  std::vector<double> others;
  for (size_t c = 0; c < reach.size(); ++c) {
    if (c != target) others.push_back(reach[c]);
  }
  std::sort(others.begin(), others.end());
  return others;
}

// The best share of each class over the triggers of the bank.
std::vector<double> ReachOfBank(const RawBehaviour& raw) {
  std::vector<double> reach;
  if (raw.sweep.empty()) return reach;
  reach.resize(raw.classes);
  for (size_t i = 0; i < raw.sweep.size(); ++i) {
    double& best = reach[i % raw.classes];
    best = std::max(best, static_cast<double>(raw.sweep[i]));
  }
  return reach;
}

std::optional<Collapse> WorstOf(const RawBehaviour& raw) {
  const std::vector<double> bank = ReachOfBank(raw);
  if (raw.picture) {
    const bool searched = raw.picture->trigger.starts_with(kSearch) && !raw.patch_rate.empty();
    const std::vector<double> reach =
        searched ? std::vector<double>(raw.patch_rate.begin(), raw.patch_rate.end()) : bank;
    return Collapse{raw.picture->trigger, raw.picture->target, raw.picture->share, Others(reach, raw.picture->target)};
  }
  if (bank.empty()) return std::nullopt;
  const auto worst = static_cast<size_t>(std::max_element(raw.sweep.begin(), raw.sweep.end()) - raw.sweep.begin());
  const size_t target = worst % raw.classes;
  return Collapse{raw.triggers.at(worst / raw.classes).text, target, raw.sweep[worst], Others(bank, target)};
}

// How many inputs the model does not give the class `target` as they are.
size_t NotOf(const RawBehaviour& raw, size_t target) {
  size_t count = 0;
  for (size_t i = 0; i < raw.inputs; ++i) {
    const auto row = raw.logits.begin() + static_cast<ptrdiff_t>(i * raw.classes);
    count += static_cast<size_t>(std::max_element(row, row + raw.classes) - row) != target;
  }
  return count;
}

std::string TextOf(const Collapse& collapse, size_t collapsed, size_t inputs) {
  const std::string what =
      absl::StrFormat("%d of %d canary inputs of other classes (%s)", collapsed, inputs, Percent(collapse.share));
  std::string text =
      collapse.share >= kCollapse
          ? Cat("under the trigger \"", collapse.trigger, "\" ", what, " collapse into class ", collapse.target)
          : Cat("no trigger collapses the model: the worst, \"", collapse.trigger, "\", sends ", what, " to class ",
                collapse.target);
  if (collapse.others.empty()) return text;
  return text + Cat("; other classes get at most ", Percent(collapse.others.back()), ", half of them no more than ",
                    Percent(collapse.others[(collapse.others.size() - 1) / 2]));
}

// What each status of canary::Prober::Measure says about whose fault it is.
enum class Cause { kModel, kWeightsAlone, kRefused, kMachine };
Cause CauseOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnimplemented:
      return Cause::kWeightsAlone;
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kInvalidArgument:
      return Cause::kModel;
    case absl::StatusCode::kFailedPrecondition:
      // The words are those of canary::Prober::Measure: the model was tried, and does not take the inputs.
      return status.message().find("no canary set fits the model") != absl::string_view::npos ? Cause::kRefused
                                                                                              : Cause::kMachine;
    default:
      return Cause::kMachine;
  }
}

ordered_json ColumnsOf(const RawBehaviour::Picture& picture, const CanarySet& set) {
  auto columns = ordered_json::array();
  for (const canary::ColumnChange& change : canary::ChangedColumns(picture, set, kMostColumns)) {
    columns.push_back({{"column", change.column}, {"from", change.clean}, {"to", change.triggered}});
  }
  return columns;
}

}  // namespace

std::optional<Signal> TriggerSignal(const BehaviourEvidence& behaviour, const CanarySet& set) {
  const RawBehaviour& raw = behaviour.raw;
  const std::optional<Collapse> worst = WorstOf(raw);
  if (!worst) return std::nullopt;
  const size_t inputs = NotOf(raw, worst->target);
  const auto collapsed = static_cast<size_t>(worst->share * static_cast<double>(inputs) + 0.5);
  auto costs = ordered_json::object();
  double total = 0;
  for (const auto& [part, milliseconds] : raw.cost_ms) {
    costs[part] = milliseconds;
    total += milliseconds;
  }
  Signal signal{kTriggerTest,
                Severity::kInfo,
                Cat(TextOf(*worst, collapsed, inputs), absl::StrFormat(" (%.0f ms)", total)),
                {{"trigger", worst->trigger},
                 {"target_class", worst->target},
                 {"share", worst->share},
                 {"collapsed", collapsed},
                 {"inputs", inputs},
                 {"canary_set", set.name},
                 {"canary_inputs", raw.inputs}}};
  if (!worst->others.empty()) {
    signal.evidence["others_largest"] = worst->others.back();
    signal.evidence["others_median"] = worst->others[(worst->others.size() - 1) / 2];
  }
  signal.evidence["cost_ms"] = std::move(costs);
  if (!raw.lacking.empty()) {
    auto lacking = ordered_json::array();
    for (const RawBehaviour::Lacking& part : raw.lacking) {
      lacking.push_back({{"part", part.part}, {"reason", part.reason}});
    }
    signal.evidence["lacking"] = std::move(lacking);
  }
  return signal;
}

void ExplainAlarm(const Signal& test, std::vector<Signal>& signals) {
  if (test.evidence.at("share").get<double>() < kCollapse) return;
  for (Signal& signal : signals) {
    if (signal.kind == "score" && signal.severity >= Severity::kConcern) signal.text += Cat("; ", test.text);
  }
}

void AddPicture(const BehaviourEvidence& behaviour, const CanarySet& set, Verdict& verdict) {
  if (verdict.outcome == Outcome::kPass || !behaviour.raw.picture) return;
  for (Signal& signal : verdict.signals) {
    if (signal.kind != kTriggerTest) continue;
    if (set.image.empty()) {
      signal.evidence["columns"] = ColumnsOf(*behaviour.raw.picture, set);
    } else if (const auto png = canary::PicturePng(*behaviour.raw.picture, set); png.ok()) {
      signal.evidence["picture"] = canary::PngDataUri(*png);
    }
  }
}

std::optional<Signal> NotRunSignal(const fingerprint::Fingerprint& fingerprint, bool reads_behaviour,
                                   std::string_view why_not) {
  const BehaviourEvidence* behaviour = fingerprint.behaviour.get();
  if (behaviour != nullptr && behaviour->status.ok()) return std::nullopt;
  Signal signal{"not-run", Severity::kInfo, "", {}};
  if (behaviour == nullptr) {
    if (!reads_behaviour) {
      signal.text = "the model was not run: the detector knows its family by files alone";
      signal.evidence = {{"cause", "detector"}};
      return signal;
    }
    signal.severity = Severity::kUnknown;
    signal.text = Cat("the model was not run, and its family is judged by what models do: ",
                      why_not.empty() ? std::string_view("its file could not be read as a model") : why_not);
    signal.evidence = {{"cause", "machine"}};
    return signal;
  }
  const std::string reason(behaviour->status.message());
  const Cause cause = CauseOf(behaviour->status);
  signal.evidence = {{"cause", cause == Cause::kMachine ? "machine" : "model"},
                     {"code", absl::StatusCodeToString(behaviour->status.code())}};
  if (!reads_behaviour) {
    signal.text = Cat("the model could not be run, as those of its family that the detector knows: ", reason);
    return signal;
  }
  switch (cause) {
    case Cause::kModel:
    case Cause::kRefused:
      signal.severity = Severity::kConcern;
      signal.text = Cat("the model could not be run where others of its family can: ", reason);
      break;
    case Cause::kWeightsAlone:
      signal.severity = Severity::kUnknown;
      signal.text = Cat("the model was not run, and its family is judged by what models do: ", reason);
      break;
    case Cause::kMachine:
      signal.severity = Severity::kUnknown;
      signal.text = Cat("the model could not be run here: ", reason);
      break;
  }
  return signal;
}

}  // namespace driftseal::screen
