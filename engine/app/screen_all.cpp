#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/remote.h"
#include "engine/app/replaying.h"
#include "engine/app/report_run.h"
#include "engine/artifact/text.h"
#include "engine/detector/registry.h"
#include "engine/screen/canary_sets.h"
#include "engine/screen/fleet.h"

namespace driftseal::app {
namespace {

int ScreenAll(const Arguments& arguments, const FleetCommand& command) {
  const auto start = std::chrono::steady_clock::now();
  if (!arguments.engine.empty()) return RemoteScreenAll(arguments, command, start);
  absl::StatusOr<Inputs> inputs = FindInputs(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  absl::StatusOr<detector::Detector> detector = LoadDetector(arguments);
  const bool without = absl::IsNotFound(detector.status()) && command.mode == screen::Mode::kVerify;
  if (!detector.ok() && !without) return Fail(detector.status());
  FleetSource source;
  if (!without) {
    if (absl::Status status = detector->CheckSchema(screen::ModelSchemaId()); !status.ok()) return Fail(status);
    if (absl::Status status = ChooseBackendForModels(arguments, *detector); !status.ok()) return Fail(status);
    const absl::StatusOr<std::string> digest = detector::DigestOf(arguments.model_dir);
    if (!digest.ok()) return Fail(digest.status());
    const detector::SchemaId& schema = detector->schema();
    source.detector =
        DetectorJson(detector->name(), detector->version(), artifact::Cat(schema.name, "/", schema.version), *digest);
  }
  source.root = inputs->root.path();
  source.subjects = std::move(inputs->subjects);
  source.where = arguments.model_dir;
  absl::StatusOr<screen::Replaying> replaying = OpenReplaying(arguments, without ? nullptr : &*detector);
  if (!replaying.ok()) return Fail(replaying.status());
  if (replaying->prober != nullptr) source.replay = ReplayJson(screen::CanarySetsOf(*detector));
  const screen::Screener screener(&inputs->root, without ? nullptr : &*detector, command.mode,
                                  {arguments.alpha, arguments.quarantine_alpha}, arguments.only_eligible,
                                  *std::move(replaying));
  source.begin = [&](size_t first) -> NextEntry {
    auto run = std::make_shared<screen::FleetRun>(&screener, source.subjects, first, Threads(arguments));
    return [run]() -> absl::StatusOr<std::optional<screen::Entry>> { return run->Next(); };
  };
  return RunReport(arguments, command, source, start);
}

}  // namespace

int ScoreAll(const Arguments& arguments) {
  return ScreenAll(arguments, {"score_all", "scoring_report.json", screen::Mode::kScore});
}

int VerifyAll(const Arguments& arguments) {
  return ScreenAll(arguments, {"verify_all", "verification_report.json", screen::Mode::kVerify});
}

}  // namespace driftseal::app
