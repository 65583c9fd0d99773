#ifndef DRIFTSEAL_ENGINE_APP_REPLAY_H_
#define DRIFTSEAL_ENGINE_APP_REPLAY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/app/arguments.h"
#include "engine/canary/replay_pool.h"

namespace driftseal::app {

/// The sandboxed processes in which a command runs models: `driftseal-replay` beside this program, as many as --threads
/// says. FailedPrecondition naming each measure of the sandbox that this machine lacks and --allow-missing-sandbox does
/// not name; the measures that were allowed to lack are told on standard error.
absl::StatusOr<std::shared_ptr<canary::ReplayPool>> StartReplay(const Arguments& arguments);

}  // namespace driftseal::app

#endif  // DRIFTSEAL_ENGINE_APP_REPLAY_H_
