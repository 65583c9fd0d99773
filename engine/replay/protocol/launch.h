#ifndef DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_LAUNCH_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_LAUNCH_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

// Starting and ending driftseal-replay, for those who run it: one call (engine/detector) or a service (engine/canary).
namespace driftseal::replay {

/// `program arguments...` with a bare environment, in a process group of its own, where each pair's second descriptor
/// is a copy of the first. FailedPrecondition when it cannot be started.
absl::StatusOr<pid_t> StartProgram(const std::string& program, const std::vector<std::string>& arguments,
                                   std::span<const std::pair<int, int>> descriptors);

/// The wait status once the process has ended, which is then reaped; nothing while it still runs, or when it is no
/// child.
std::optional<int> TryWait(pid_t pid);
/// Kills the process group and reaps its first process.
void KillGroup(pid_t pid);

/// "was ended by signal 11 (Segmentation fault)" or "ended with exit code 3".
std::string EndingText(int wait_status);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROTOCOL_LAUNCH_H_
