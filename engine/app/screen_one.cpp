#include <cstdio>
#include <utility>

#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/remote.h"
#include "engine/app/replaying.h"
#include "engine/app/rows.h"
#include "engine/app/tell.h"
#include "engine/screen/report.h"

namespace driftseal::app {
namespace {

int ScreenOne(const Arguments& arguments, screen::Mode mode) {
  if (!arguments.engine.empty()) return RemoteScreenOne(arguments, mode);
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
  absl::StatusOr<screen::Replaying> replaying = OpenReplaying(arguments, without ? nullptr : &*detector);
  if (!replaying.ok()) return Fail(replaying.status());
  const screen::Screener screener(&inputs->root, without ? nullptr : &*detector, mode, policy, false,
                                  *std::move(replaying));
  const screen::Result result = screener.Screen(inputs->subjects.front());
  if (!result.error.ok()) return Fail(result.error);
  return TellEntry(arguments, screen::ToJson(result), mode);
}

}  // namespace

int Score(const Arguments& arguments) {
  if (IsRowsPath(arguments.paths.front())) {
    if (arguments.engine.empty()) return ScoreRows(arguments);
    std::fputs("driftseal: --engine scores models; rows of a CSV are scored here, or by the Score call of an SDK\n",
               stderr);
    return 2;
  }
  return ScreenOne(arguments, screen::Mode::kScore);
}

int Verify(const Arguments& arguments) { return ScreenOne(arguments, screen::Mode::kVerify); }

}  // namespace driftseal::app
