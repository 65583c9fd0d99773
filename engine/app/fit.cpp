#include <chrono>
#include <cstdio>
#include <string>

#include "absl/strings/str_format.h"
#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"
#include "engine/screen/reference.h"
#include "engine/screen/screen.h"

namespace driftseal::app {
namespace {

// What the calibration set of a family is good for, in words.
std::string Promise(const detector::Detector::FamilySummary& family, const detector::Guarantee& guarantee,
                    double alpha) {
  const double resolution = 1.0 / (static_cast<double>(family.calibrated_on) + 1);
  if (resolution > alpha) {
    return absl::StrFormat("uncalibrated: %d models, α = %.3g needs %d", family.calibrated_on, alpha,
                           static_cast<int>(1 / alpha + 0.999999) - 1);
  }
  if (guarantee.threshold) {
    return absl::StrFormat("≤ %.3g %% false alarms, also with %.3g %% confidence", 100 * alpha,
                           100 * (1 - guarantee.delta));
  }
  return absl::StrFormat("≤ %.3g %% false alarms on average (with %.3g %% confidence from %d models on)", 100 * alpha,
                         100 * (1 - guarantee.delta), guarantee.needed);
}

void PrintText(const detector::Detector& detector, const screen::Reference& reference, const Arguments& arguments,
               double seconds) {
  Table table({"FAMILY", "FITTED", "CALIBRATED", "FEATURES", "DETECTOR", "PROMISE"});
  for (const auto& family : detector.families()) {
    table.Add({family.key, artifact::Cat(family.fitted_on), artifact::Cat(family.calibrated_on),
               artifact::Cat(family.features_used), family.own_detector ? "own" : "global",
               Promise(family, detector.GuaranteeFor(family.key, arguments.alpha, arguments.delta), arguments.alpha)});
  }
  table.Print(6);
  for (const screen::LeftOut& model : reference.left_out) {
    std::printf("left out: %s\n", Printable(artifact::Cat(model.path, ": ", model.reason)).c_str());
  }
  std::printf("\n%s@%d fitted on %zu models in %s, saved to %s\n", detector.name().c_str(), detector.version(),
              reference.samples.size(), Duration(seconds).c_str(), arguments.model_dir.c_str());
  std::printf(
      "Next: driftseal verify_all FOLDER%s\n",
      arguments.model_dir == "driftseal_detector" ? "" : artifact::Cat(" --model-dir ", arguments.model_dir).c_str());
}

absl::StatusOr<screen::Reference> Read(const Arguments& arguments, const Inputs& inputs) {
  Progress progress("fingerprints", inputs.subjects.size(), 0);
  screen::ReferenceOptions options;
  options.only_eligible = arguments.only_eligible;
  options.threads = Threads(arguments);
  options.progress = [&] { progress.Advance(); };
  return screen::ReadReference(inputs.root, inputs.subjects, options);
}

}  // namespace

int Fit(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<Inputs> inputs = FindInputs(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  absl::StatusOr<screen::Reference> reference = Read(arguments, *inputs);
  if (!reference.ok()) return Fail(reference.status());
  detector::FitOptions options;
  options.name = arguments.name;
  options.version = arguments.version;
  options.seed = arguments.seed;
  options.calibration_share = arguments.calibration_share;
  options.family_minimum = arguments.family_minimum;
  options.replay_program = ProgramBeside("driftseal-replay");
  options.threads = Threads(arguments);
  absl::StatusOr<detector::Detector> detector =
      detector::Detector::Fit(screen::ModelSchemaId(), reference->samples, options);
  if (!detector.ok()) {
    for (const screen::LeftOut& model : reference->left_out) {
      std::fprintf(stderr, "left out: %s\n", Printable(artifact::Cat(model.path, ": ", model.reason)).c_str());
    }
    return Fail(detector.status());
  }
  if (absl::Status status = detector->Save(arguments.model_dir); !status.ok()) return Fail(status);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (arguments.json) {
    const auto summary = screen::FitSummary(*detector, *reference, arguments.alpha, arguments.delta);
    std::printf("%s\n", screen::Dump(summary, 2).c_str());
  } else {
    PrintText(*detector, *reference, arguments, seconds);
  }
  return 0;
}

}  // namespace driftseal::app
