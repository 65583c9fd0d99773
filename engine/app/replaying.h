#ifndef DRIFTSEAL_ENGINE_APP_REPLAYING_H_
#define DRIFTSEAL_ENGINE_APP_REPLAYING_H_

#include <vector>

#include "absl/status/statusor.h"
#include "engine/app/arguments.h"
#include "engine/canary/set_files.h"
#include "engine/detector/detector.h"
#include "engine/screen/screen.h"
#include "nlohmann/json.hpp"

namespace driftseal::app {

/// Runs models on the canary sets of `detector` (null: none) that lie in --model-dir, unless --no-replay says
/// otherwise or it was fitted without any. One pool a command. FailedPrecondition naming a set that is not the
/// detector's, or the measures of the sandbox that are missing, with both ways out.
absl::StatusOr<screen::Replaying> OpenReplaying(const Arguments& arguments, const detector::Detector* detector);

/// Runs models on `sets`, for fit.
absl::StatusOr<screen::Replaying> OpenReplaying(const Arguments& arguments, const std::vector<canary::SetFile>& sets);

/// "replay" of a report's header: the sets that models are run on; null: they are not.
nlohmann::ordered_json ReplayJson(const std::vector<canary::SetId>& sets);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_REPLAYING_H_
