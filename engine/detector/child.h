#ifndef DRIFTSEAL_ENGINE_DETECTOR_CHILD_H_
#define DRIFTSEAL_ENGINE_DETECTOR_CHILD_H_

#include <chrono>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace driftseal::detector {

/// Runs the replay program for one request: one frame in, one frame out (engine/replay/protocol/frame.h). The child
/// gets a bare environment and a process group of its own, and does not outlive the call. Never blocks past `timeout`.
/// FailedPrecondition when the program cannot be started, DeadlineExceeded, ResourceExhausted for an answer that is too
/// long, Internal for one that crashed or did not answer in frames (with the end of what it wrote to standard error).
absl::StatusOr<std::string> CallReplay(const std::string& program, std::string_view request,
                                       std::chrono::milliseconds timeout);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_CHILD_H_
