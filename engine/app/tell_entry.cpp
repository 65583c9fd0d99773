#include <cmath>
#include <cstdio>
#include <string>

#include "absl/strings/str_format.h"
#include "engine/app/inputs.h"
#include "engine/app/json_fields.h"
#include "engine/app/tell.h"
#include "engine/app/terminal.h"
#include "engine/artifact/atomic_file.h"
#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"
#include "engine/screen/report.h"

namespace driftseal::app {
namespace {

using nlohmann::ordered_json;

void PrintScore(const ordered_json& score) {
  const double p_value = NumberOf(score, "p_value");
  const std::string p = std::isnan(p_value) ? "uncalibrated" : absl::StrFormat("p = %.3g", p_value);
  std::printf("  score    %s (%s), fitted on %zu and calibrated on %zu models\n",
              absl::StrFormat("%.3f", NumberOf(score, "combined")).c_str(), p.c_str(), CountOf(score, "fitted_on"),
              CountOf(score, "calibrated_on"));
  std::string members;
  for (const auto& [name, member] : PartOf(score, "members").items()) {
    members +=
        artifact::Cat(members.empty() ? "" : ", ", name, " ", absl::StrFormat("%.2f", NumberOf(member, "normalised")));
  }
  const std::string view = TextOf(score, "view");
  if (!view.empty()) std::printf("  view     %s\n", view == "behaviour" ? "behaviour" : "files alone");
  std::printf("  members  %s (0 is the family's median, 1 its 90 %% quantile)\n", Printable(members).c_str());
  const std::string remark = TextOf(score, "remark");
  if (!remark.empty()) std::printf("  remark   %s\n", Printable(remark).c_str());
}

void PrintDrivers(const ordered_json& drivers) {
  if (drivers.empty()) return;
  std::printf("\n");
  Table table({"FEATURE", "VALUE", "FAMILY MEDIAN", "ROBUST Z", "SHARE"});
  for (const ordered_json& driver : drivers) {
    table.Add({TextOf(driver, "feature"), absl::StrFormat("%.5g", NumberOf(driver, "value")),
               absl::StrFormat("%.5g", NumberOf(driver, "median")),
               absl::StrFormat("%+.1f", NumberOf(driver, "robust_z")),
               absl::StrFormat("%.0f %%", 100 * NumberOf(driver, "share"))});
  }
  table.Print(5);
}

void PrintEntry(const ordered_json& entry) {
  const std::string verdict = TextOf(entry, "verdict");
  std::printf("%s  %s  (%s)\n", Paint(ColourOf(verdict), verdict).c_str(),
              Paint(Colour::kBold, TextOf(entry, "model_name")).c_str(), Printable(TextOf(entry, "path")).c_str());
  std::printf("  family   %s\n", Printable(TextOf(entry, "family")).c_str());
  const bool scored = PartOf(entry, "score").is_object();
  if (scored) PrintScore(entry["score"]);
  ordered_json drivers;
  for (const ordered_json& signal : PartOf(entry, "signals")) {
    const std::string severity = TextOf(signal, "severity");
    std::printf("  %s %s: %s\n", Paint(ColourOf(severity), absl::StrFormat("%-8s", severity)).c_str(),
                Printable(TextOf(signal, "kind")).c_str(), Printable(TextOf(signal, "text")).c_str());
    // The signal of the score, whatever it is called, is the one that has drivers.
    const ordered_json& evidence = PartOf(signal, "evidence");
    if (evidence.is_object() && PartOf(evidence, "drivers").is_array()) drivers = evidence["drivers"];
  }
  if (scored) PrintDrivers(drivers);
}

}  // namespace

int TellEntry(const Arguments& arguments, const ordered_json& entry, screen::Mode mode) {
  const std::string text = screen::Dump(entry, 2);
  if (!arguments.output_path.empty()) {
    const absl::Status status = artifact::WriteFileAtomically(arguments.output_path, artifact::Cat(text, "\n"));
    if (!status.ok()) return Fail(status);
  }
  absl::StatusOr<std::string> picture = std::string();
  if (mode == screen::Mode::kVerify) picture = WritePicture(arguments, entry);
  if (!picture.ok()) return Fail(picture.status());
  if (arguments.json) {
    std::printf("%s\n", text.c_str());
  } else {
    PrintEntry(entry);
    if (!picture->empty()) {
      std::printf("\n  picture  %s (left: the input as it is; middle: with the trigger; right: what changed)\n",
                  Printable(*picture).c_str());
    }
  }
  screen::Tally tally;
  screen::Count(entry, tally);
  return screen::ExitCode(tally);
}

}  // namespace driftseal::app
