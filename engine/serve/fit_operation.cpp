#include "engine/serve/fit_operation.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/artifact/text.h"
#include "engine/screen/canary_sets.h"
#include "engine/screen/fleet.h"
#include "engine/screen/reference.h"
#include "engine/screen/screen.h"
#include "engine/serve/detector_proto.h"
#include "engine/serve/fit_canary.h"
#include "engine/serve/replay_program.h"
#include "engine/serve/replays.h"
#include "engine/serve/subjects.h"
#include "engine/serve/verdict_proto.h"
#include "engine/serve/verifier.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

constexpr int kPathsLimit = 1000, kLeftOutLimit = 1000;
constexpr uint32_t kFamilyMinimumLimit = 1'000'000;

bool IsLevel(double level) { return level > 0 && level <= 0.5; }

absl::Status CheckNumbers(const v1::FitRequest& request) {
  if (request.version() < 0) {
    return absl::InvalidArgumentError(Cat("version is ", request.version(), ", expected 0 or more"));
  }
  if (!(request.calibration_share() >= 0 && request.calibration_share() <= 0.9)) {
    return absl::InvalidArgumentError(Cat("calibration_share is ", request.calibration_share(), ", expected 0 to 0.9"));
  }
  if (request.family_minimum() != 0 &&
      (request.family_minimum() < 8 || request.family_minimum() > kFamilyMinimumLimit)) {
    return absl::InvalidArgumentError(
        Cat("family_minimum is ", request.family_minimum(), ", expected 8 to ", kFamilyMinimumLimit));
  }
  if (request.has_alpha() && !IsLevel(request.alpha())) {
    return absl::InvalidArgumentError(Cat("alpha is ", request.alpha(), ", expected more than 0 and at most 0.5"));
  }
  if (request.has_delta() && !IsLevel(request.delta())) {
    return absl::InvalidArgumentError(Cat("delta is ", request.delta(), ", expected more than 0 and at most 0.5"));
  }
  if (request.paths_size() > kPathsLimit) {
    return absl::InvalidArgumentError(Cat("paths: has ", request.paths_size(), ", the limit is ", kPathsLimit));
  }
  return absl::OkStatus();
}

detector::FitOptions OptionsOf(const Engine& engine, const v1::FitRequest& request) {
  detector::FitOptions options;
  options.uses = screen::ModelColumnUses();
  if (!request.name().empty()) options.name = request.name();
  options.version = request.version() > 0 ? request.version() : engine.detectors->NextVersion(options.name);
  if (request.seed() != 0) options.seed = request.seed();
  if (request.calibration_share() > 0) options.calibration_share = request.calibration_share();
  if (request.family_minimum() > 0) options.family_minimum = request.family_minimum();
  options.replay_program = ReplayProgram();
  // Half of the cores: requests are served meanwhile.
  options.threads = std::max(1u, std::thread::hardware_concurrency() / 2);
  return options;
}

std::vector<std::string> PathsOf(const v1::FitRequest& request) {
  std::vector<std::string> paths(request.paths().begin(), request.paths().end());
  if (!request.folder().empty() || paths.empty()) paths.push_back(request.folder());
  return paths;
}

// Tells how far a fit is, as long as it lives.
class Telling {
 public:
  Telling(Operations::Report& report, const detector::FitProgress& progress)
      : thread_([this, &report, &progress](const std::stop_token& stop) {
          uint64_t total = 0, done = 0;
          std::unique_lock lock(mutex_);
          while (!wake_.wait_for(lock, stop, std::chrono::milliseconds(100), [] { return false; }) &&
                 !stop.stop_requested()) {
            if (const uint64_t now = progress.total; now != total) report.Stage("fitting", total = now);
            if (const uint64_t now = progress.done; now != done) report.Done(done = now);
          }
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

absl::Status Fit(Engine& engine, const v1::FitRequest& request, Operations::Report& report, const std::stop_token& stop,
                 v1::Operation& result) {
  report.Stage("reading models", 0);
  const auto subjects = SubjectsOf(engine, "folder", PathsOf(request), request.meta_glob());
  if (!subjects.ok()) return subjects.status();
  const absl::StatusOr<std::vector<canary::SetFile>> sets = CanarySetsOf(engine, request);
  if (!sets.ok()) return sets.status();
  const absl::StatusOr<screen::Replaying> replaying = engine.replays->For(*sets);
  if (!replaying.ok()) return replaying.status();
  detector::FitOptions options = OptionsOf(engine, request);
  options.canary_sets = screen::ForDetector(*sets);
  report.Stage("reading models", subjects->size());
  uint64_t read = 0;
  const screen::ReferenceOptions reading{request.only_eligible(), options.threads, stop, [&] { report.Done(++read); },
                                         replaying->prober.get()};
  const absl::StatusOr<screen::Reference> reference = screen::ReadReference(engine.root, *subjects, reading);
  if (!reference.ok()) return reference.status();
  for (const screen::LeftOut& model : reference->left_out) {
    if (result.left_out_size() == kLeftOutLimit) break;
    result.add_left_out(Utf8(Cat(model.path, ": ", model.reason)));
  }
  report.Stage("fitting", 0);
  detector::FitProgress progress;
  options.progress = &progress;
  options.stop = stop;
  absl::StatusOr<detector::Detector> detector = [&] {
    const Telling telling(report, progress);
    return detector::Detector::Fit(screen::ModelSchemaId(), reference->samples, options);
  }();
  if (!detector.ok()) return detector.status();
  if (stop.stop_requested()) return absl::CancelledError("stopped before it was saved");
  report.Stage("saving", 0);
  const double alpha = request.has_alpha() ? request.alpha() : 0.05;
  const double delta = request.has_delta() ? request.delta() : 0.05;
  result.set_report(screen::Dump(screen::FitSummary(*detector, *reference, *sets, alpha, delta), 2));
  const auto added = engine.detectors->Add(*std::move(detector), request.activate(), Beside(*sets));
  if (!added.ok()) return added.status();
  *result.mutable_detector() = ToProto(*added);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Operations::Work> FitWork(Engine& engine, const v1::FitRequest& request) {
  if (absl::Status numbers = CheckNumbers(request); !numbers.ok()) return numbers;
  if (!request.name().empty()) {
    if (absl::Status name = detector::CheckName(request.name()); !name.ok()) return name;
  }
  for (const std::string& path : PathsOf(request)) {
    if (path.empty()) continue;
    if (const auto checked = CheckPath(engine, "folder", path); !checked.ok()) return checked.status();
  }
  if (absl::Status canary = CheckCanarySets(engine, request); !canary.ok()) return canary;
  const std::string id = Cat(request.name().empty() ? "driftseal" : request.name(), "@", request.version());
  if (request.version() > 0 && engine.detectors->Find(id).ok()) {
    return absl::AlreadyExistsError(Cat("version: ", id, " is there already"));
  }
  return [&engine, request](Operations::Report& report, const std::stop_token& stop, v1::Operation& result) {
    const absl::Status status = Fit(engine, request, report, stop, result);
    engine.log.Info("fit ended", {{"status", status.ToString()}, {"report", result.detector().name()}});
    return status;
  };
}

}  // namespace driftseal::serve
