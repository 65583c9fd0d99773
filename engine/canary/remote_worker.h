#ifndef DRIFTSEAL_ENGINE_CANARY_REMOTE_WORKER_H_
#define DRIFTSEAL_ENGINE_CANARY_REMOTE_WORKER_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/canary/replay_service.h"

namespace driftseal::canary {

/// Shared memory of one job.
struct JobMemory {
  int model = -1, answer = -1, set = -1;
};

/// The engine's side of one forked worker. Used by one thread at a time; the worker is ended and reaped with it.
class RemoteWorker {
 public:
  /// Unavailable: the service has ended.
  static absl::StatusOr<std::unique_ptr<RemoteWorker>> Start(std::shared_ptr<ReplayService> service,
                                                             const replay::Spawn& spawn, int set_memory);
  ~RemoteWorker();
  RemoteWorker(const RemoteWorker&) = delete;
  RemoteWorker& operator=(const RemoteWorker&) = delete;

  /// The answer's bytes, copied out of its memory. Errors as ReplayPool::Probe; Unavailable when the service or the
  /// worker ended by no fault that is known to be the model's.
  absl::StatusOr<std::string> Run(const replay::Job& job, const JobMemory& memory, std::chrono::milliseconds limit);
  /// It answered as it should, and can be given another job.
  bool reusable() const { return reusable_; }
  const ReplayService& service() const { return *service_; }

 private:
  RemoteWorker(std::shared_ptr<ReplayService> service, replay::UniqueFd work, replay::UniqueFd life,
               replay::UniqueFd output)
      : service_(std::move(service)), work_(std::move(work)), life_(std::move(life)), output_(std::move(output)) {}
  absl::StatusOr<std::string> Await(const replay::Job& job, int answer_memory, std::chrono::milliseconds limit);
  /// What is there on the work socket; nothing where nothing is.
  std::optional<absl::StatusOr<std::string>> TakeAnswer(const replay::Job& job, int answer_memory);
  absl::StatusOr<std::string> Accept(const replay::Answer& answer, int answer_memory);
  /// What the service says of the worker's end, as an error.
  absl::Status ReadEnding();
  /// Has the worker killed, and waits until it is reaped.
  void End();
  /// "; it printed: ..." or nothing.
  std::string Printed();

  std::shared_ptr<ReplayService> service_;
  replay::UniqueFd work_, life_, output_;
  bool worked_ = false, reusable_ = false, ended_ = false;
};

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_REMOTE_WORKER_H_
