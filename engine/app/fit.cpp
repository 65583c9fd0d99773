#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/remote.h"
#include "engine/app/replaying.h"
#include "engine/app/tell.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
#include "engine/canary/set_files.h"
#include "engine/screen/canary_sets.h"
#include "engine/screen/reference.h"
#include "engine/screen/screen.h"

namespace driftseal::app {
namespace {

absl::StatusOr<screen::Reference> Read(const Arguments& arguments, const Inputs& inputs, const canary::Prober* prober) {
  Progress progress(prober == nullptr ? "fingerprints" : "fingerprints and behaviour", inputs.subjects.size(), 0);
  screen::ReferenceOptions options;
  options.only_eligible = arguments.only_eligible;
  options.threads = Threads(arguments);
  options.prober = prober;
  options.progress = [&] { progress.Advance(); };
  return screen::ReadReference(inputs.root, inputs.subjects, options);
}

}  // namespace

int Fit(const Arguments& arguments) {
  if (!arguments.engine.empty()) return RemoteFit(arguments);
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<Inputs> inputs = FindInputs(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  const absl::StatusOr<std::vector<canary::SetFile>> sets = canary::ReadSets(arguments.canary);
  if (!sets.ok()) return Fail(sets.status());
  const absl::StatusOr<screen::Replaying> replaying = OpenReplaying(arguments, *sets);
  if (!replaying.ok()) return Fail(replaying.status());
  absl::StatusOr<screen::Reference> reference = Read(arguments, *inputs, replaying->prober.get());
  if (!reference.ok()) return Fail(reference.status());
  detector::FitOptions options;
  options.name = arguments.name;
  options.version = arguments.version == 0 ? 1 : arguments.version;
  options.seed = arguments.seed;
  options.calibration_share = arguments.calibration_share;
  options.family_minimum = arguments.family_minimum;
  options.replay_program = ProgramBeside("driftseal-replay");
  options.threads = Threads(arguments);
  options.canary_sets = screen::ForDetector(*sets);
  options.uses = screen::ModelColumnUses();
  absl::StatusOr<detector::Detector> detector =
      detector::Detector::Fit(screen::ModelSchemaId(), reference->samples, options);
  if (!detector.ok()) {
    for (const screen::LeftOut& model : reference->left_out) {
      std::fprintf(stderr, "left out: %s\n", Printable(artifact::Cat(model.path, ": ", model.reason)).c_str());
    }
    return Fail(detector.status());
  }
  // First what the detector names: whoever reads in between sees a set that is not the old detector's, and refuses it.
  if (absl::Status status = canary::WriteSets(arguments.model_dir, *sets); !status.ok()) return Fail(status);
  if (absl::Status status = detector->Save(arguments.model_dir); !status.ok()) return Fail(status);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::string next =
      arguments.model_dir == "driftseal_detector" ? "" : artifact::Cat(" --model-dir ", arguments.model_dir);
  TellFit(arguments, screen::FitSummary(*detector, *reference, *sets, arguments.alpha, arguments.delta), seconds,
          arguments.model_dir, next);
  return 0;
}

}  // namespace driftseal::app
