#include <chrono>
#include <cstdio>
#include <string>

#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/remote.h"
#include "engine/app/tell.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
#include "engine/screen/reference.h"
#include "engine/screen/screen.h"

namespace driftseal::app {
namespace {

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
  if (!arguments.engine.empty()) return RemoteFit(arguments);
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<Inputs> inputs = FindInputs(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  absl::StatusOr<screen::Reference> reference = Read(arguments, *inputs);
  if (!reference.ok()) return Fail(reference.status());
  detector::FitOptions options;
  options.name = arguments.name;
  options.version = arguments.version == 0 ? 1 : arguments.version;
  options.seed = arguments.seed;
  options.calibration_share = arguments.calibration_share;
  options.family_minimum = arguments.family_minimum;
  options.replay_program = ProgramBeside("driftseal-replay");
  options.threads = Threads(arguments);
  options.uses = screen::ModelColumnUses();
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
  const std::string next =
      arguments.model_dir == "driftseal_detector" ? "" : artifact::Cat(" --model-dir ", arguments.model_dir);
  TellFit(arguments, screen::FitSummary(*detector, *reference, arguments.alpha, arguments.delta), seconds,
          arguments.model_dir, next);
  return 0;
}

}  // namespace driftseal::app
