#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/rows.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"
#include "engine/screen/report.h"

namespace driftseal::app {
namespace {

void PrintDrivers(const detector::Score& score, const detector::SchemaId& schema) {
  if (score.drivers.empty()) return;
  std::printf("\n");
  Table table({"FEATURE", "VALUE", "FAMILY MEDIAN", "ROBUST Z", "SHARE"});
  for (const detector::Driver& driver : score.drivers) {
    table.Add({schema.features.at(driver.feature), absl::StrFormat("%.5g", driver.value),
               absl::StrFormat("%.5g", driver.median), absl::StrFormat("%+.1f", driver.robust_z),
               absl::StrFormat("%.0f %%", 100 * driver.share)});
  }
  table.Print(5);
}

void PrintScore(const detector::Score& score) {
  const std::string p = score.p_value ? absl::StrFormat("p = %.3g", *score.p_value) : "uncalibrated";
  std::printf("  score    %.3f (%s), fitted on %zu and calibrated on %zu models\n", score.combined, p.c_str(),
              score.fitted_on, score.calibrated_on);
  std::string members;
  for (const detector::MemberScore& member : score.members) {
    members +=
        artifact::Cat(members.empty() ? "" : ", ", member.member, " ", absl::StrFormat("%.2f", member.normalised));
  }
  std::printf("  members  %s (0 is the family's median, 1 its 90 %% quantile)\n", members.c_str());
  if (!score.remark.empty()) std::printf("  remark   %s\n", Printable(score.remark).c_str());
}

void PrintResult(const screen::Result& result, const detector::Detector* detector) {
  const std::string_view outcome = screen::OutcomeName(result.verdict.outcome);
  std::printf("%s  %s  (%s)\n", Paint(ColourOf(outcome), outcome).c_str(),
              Paint(Colour::kBold, result.model_name).c_str(), Printable(result.path).c_str());
  std::printf("  family   %s\n", Printable(result.fingerprint.family.Key()).c_str());
  if (result.score) PrintScore(*result.score);
  for (const screen::Signal& signal : result.verdict.signals) {
    const std::string_view severity = screen::SeverityName(signal.severity);
    std::printf("  %s %s: %s\n", Paint(ColourOf(severity), absl::StrFormat("%-8s", severity)).c_str(),
                signal.kind.c_str(), Printable(signal.text).c_str());
  }
  if (result.score && detector != nullptr) PrintDrivers(*result.score, detector->schema());
}

// Writes the entry as a report of one model where --output-path asks for it.
absl::Status WriteIfAsked(const Arguments& arguments, const std::string& text) {
  if (arguments.output_path.empty()) return absl::OkStatus();
  return artifact::WriteFileAtomically(arguments.output_path, artifact::Cat(text, "\n"));
}

int ScreenOne(const Arguments& arguments, screen::Mode mode) {
  absl::StatusOr<Inputs> inputs = OneInput(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  absl::StatusOr<detector::Detector> detector = LoadDetector(arguments);
  // verify still checks the files where nobody has fitted a detector yet; a detector that is there must be usable.
  const bool without = absl::IsNotFound(detector.status()) && mode == screen::Mode::kVerify;
  if (!detector.ok() && !without) return Fail(detector.status());
  if (!without) {
    if (absl::Status status = detector->CheckSchema(screen::ModelSchemaId()); !status.ok()) return Fail(status);
    if (absl::Status status = ChooseBackendForModels(arguments, *detector); !status.ok()) return Fail(status);
  }
  const screen::Policy policy{arguments.alpha, arguments.quarantine_alpha};
  const screen::Screener screener(&inputs->root, without ? nullptr : &*detector, mode, policy, false);
  const screen::Result result = screener.Screen(inputs->subjects.front());
  if (!result.error.ok()) return Fail(result.error);
  const nlohmann::ordered_json entry = screen::ToJson(result);
  const std::string text = screen::Dump(entry, 2);
  if (absl::Status status = WriteIfAsked(arguments, text); !status.ok()) return Fail(status);
  if (arguments.json) {
    std::printf("%s\n", text.c_str());
  } else {
    PrintResult(result, without ? nullptr : &*detector);
  }
  screen::Tally tally;
  screen::Count(entry, tally);
  return screen::ExitCode(tally);
}

}  // namespace

int Score(const Arguments& arguments) {
  if (IsRowsPath(arguments.paths.front())) return ScoreRows(arguments);
  return ScreenOne(arguments, screen::Mode::kScore);
}

int Verify(const Arguments& arguments) { return ScreenOne(arguments, screen::Mode::kVerify); }

}  // namespace driftseal::app
