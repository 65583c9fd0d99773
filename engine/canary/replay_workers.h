#ifndef DRIFTSEAL_ENGINE_CANARY_REPLAY_WORKERS_H_
#define DRIFTSEAL_ENGINE_CANARY_REPLAY_WORKERS_H_

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/canary/remote_worker.h"
#include "engine/canary/replay_pool.h"
#include "engine/replay/protocol/message.h"

namespace driftseal::canary {

/// A canary set in shared memory.
struct SharedSet {
  replay::SetKey key{};
  uint64_t length = 0;
  replay::UniqueFd memory;
};

/// Runs jobs in workers, as many at once as the options say; what goes in and comes out are bytes. Thread-safe.
class ReplayWorkers {
 public:
  /// As ReplayPool::Start.
  static absl::StatusOr<std::unique_ptr<ReplayWorkers>> Start(const PoolOptions& options);
  ~ReplayWorkers();

  /// What the job is; the rest is filled in.
  struct Work {
    replay::JobKind kind = replay::JobKind::kReplay;
    replay::ModelRuntime runtime = replay::ModelRuntime::kTorchScript;
    std::span<const std::byte> model;
    std::string options;
    uint64_t answer_capacity = uint64_t{64} << 20;
  };
  /// The answer's payload, unchecked: hostile. Blocks while all workers are busy. Errors as ReplayPool::Probe.
  absl::StatusOr<std::string> Run(const Work& work, const SharedSet& set);

  const std::vector<SandboxMeasure>& measures() const { return measures_; }
  /// The process that is running now, for tests that end it; −1: none.
  pid_t service_pid();

 private:
  explicit ReplayWorkers(const PoolOptions& options);
  absl::Status CheckMeasures(const std::vector<replay::Measure>& reported);
  absl::StatusOr<std::shared_ptr<ReplayService>> Service();
  absl::StatusOr<std::unique_ptr<RemoteWorker>> TakeWorker(const SharedSet& set);
  absl::StatusOr<std::string> RunOnce(const replay::Job& job, int model, const SharedSet& set);

  const PoolOptions options_;
  std::vector<SandboxMeasure> measures_;
  std::atomic<uint64_t> next_id_ = 1;

  std::mutex service_mutex_;  ///< Also held while a service starts: others wait for it.
  std::shared_ptr<ReplayService> service_;

  std::mutex mutex_;
  std::condition_variable freed_;
  unsigned free_;
  std::vector<std::unique_ptr<RemoteWorker>> idle_;  ///< Where workers are used again.
};

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_REPLAY_WORKERS_H_
