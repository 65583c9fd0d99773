#ifndef DRIFTSEAL_ENGINE_DETECTOR_CHILD_H_
#define DRIFTSEAL_ENGINE_DETECTOR_CHILD_H_

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace driftseal::detector {

/// Runs the replay program for one request: one frame in, one frame out (engine/replay/protocol/frame.h). The child
/// gets a bare environment and a process group of its own, and does not outlive the call. Never blocks past `timeout`,
/// nor once `stop` was asked for. FailedPrecondition when the program cannot be started, DeadlineExceeded, Cancelled,
/// ResourceExhausted for an answer that is too long, Internal for one that crashed or did not answer in frames (with
/// the end of what it wrote to standard error).
absl::StatusOr<std::string> CallReplay(const std::string& program, std::string_view request,
                                       std::chrono::milliseconds timeout, std::stop_token stop = {});

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_CHILD_H_
