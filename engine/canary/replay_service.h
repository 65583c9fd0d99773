#ifndef DRIFTSEAL_ENGINE_CANARY_REPLAY_SERVICE_H_
#define DRIFTSEAL_ENGINE_CANARY_REPLAY_SERVICE_H_

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/replay/protocol/channel.h"
#include "engine/replay/protocol/message.h"

namespace driftseal::canary {

/// Waits until `fd` is readable or closed; false at the deadline.
bool WaitReadable(int fd, std::chrono::steady_clock::time_point deadline);

/// One running `driftseal-replay --serve`; ended and reaped, with all its workers, when this goes. Safe to share
/// between threads.
class ReplayService {
 public:
  /// FailedPrecondition, with what it said, when the program cannot be started or does not report in time.
  static absl::StatusOr<std::shared_ptr<ReplayService>> Start(const std::string& program,
                                                              std::chrono::milliseconds limit);
  ~ReplayService();
  ReplayService(const ReplayService&) = delete;
  ReplayService& operator=(const ReplayService&) = delete;

  /// Asks for a worker; the descriptors are those of replay::Spawn. Unavailable: the service has ended.
  absl::Status Spawn(const replay::Spawn& spawn, std::span<const int> descriptors);

  /// What it runs under, as it reported.
  const std::vector<replay::Measure>& measures() const { return measures_; }
  /// Somebody saw it end, or answer no longer.
  bool gone() const { return gone_; }
  void SetGone() { gone_ = true; }
  /// The process that was started, whose child the service is.
  pid_t pid() const { return pid_; }

 private:
  ReplayService(pid_t pid, replay::UniqueFd control) : pid_(pid), control_(std::move(control)) {}
  /// The wait status, once it has ended by itself.
  std::optional<int> WaitEnd(std::chrono::milliseconds limit);
  absl::Status AwaitHello(std::chrono::milliseconds limit, int said);

  pid_t pid_;
  replay::UniqueFd control_;
  std::vector<replay::Measure> measures_;
  std::atomic<bool> gone_ = false;
};

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_REPLAY_SERVICE_H_
