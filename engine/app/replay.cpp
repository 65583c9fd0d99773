#include "engine/app/replay.h"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "engine/app/inputs.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"

namespace driftseal::app {

absl::StatusOr<std::shared_ptr<canary::ReplayPool>> StartReplay(const Arguments& arguments) {
  canary::PoolOptions options;
  options.program = ProgramBeside("driftseal-replay");
  options.workers = Threads(arguments);
  options.allow_missing = arguments.allow_missing_sandbox;
  options.time_limit = std::chrono::milliseconds(static_cast<int64_t>(arguments.replay_timeout * 1000));
  absl::StatusOr<std::unique_ptr<canary::ReplayPool>> pool = canary::ReplayPool::Start(options);
  if (!pool.ok()) {
    if (!absl::IsFailedPrecondition(pool.status())) return pool.status();
    return absl::FailedPreconditionError(
        artifact::Cat(std::string(pool.status().message()), " (--allow-missing-sandbox NAME runs models without it)"));
  }
  for (const canary::SandboxMeasure& measure : (*pool)->measures()) {
    if (measure.active) continue;
    std::fprintf(stderr, "sandbox: without %s: %s\n", Printable(measure.name).c_str(),
                 Printable(measure.problem).c_str());
  }
  return std::shared_ptr<canary::ReplayPool>(*std::move(pool));
}

}  // namespace driftseal::app
