#ifndef DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_CLIENT_H_
#define DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_CLIENT_H_

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "driftseal/admin.h"
#include "driftseal/options.h"
#include "driftseal/scoring.h"
#include "driftseal/status.h"
#include "driftseal/stream.h"

namespace driftseal {

namespace internal {
class Core;
}  // namespace internal

/// A connection to an engine. Cheap to copy (copies share the connection and the retry budget); all of it may be used
/// by any number of threads. Functions given to a call run on the thread that made the call, and so may do anything.
class Client {
 public:
  /// Reads the files that the options name; connects with the first call. InvalidArgument for options that make no
  /// sense, NotFound for a file.
  static Result<Client> Create(const ClientOptions& options);
  /// Waits until there is a connection; UNAVAILABLE after `timeout`.
  Status WaitForConnection(std::chrono::milliseconds timeout) const;

  /// Scores rows or fingerprints. More rows than a message should carry go over a stream in pieces, all scored by the
  /// version of the detector that scored the first one.
  Result<ScoreResult> Score(const ScoreRequest& request, const CallOptions& options = {}) const;
  /// The same without a thread that waits. A future rather than a callback: it composes, and no code of the caller's
  /// runs on the library's threads, where blocking would hold up other calls. Large requests go in pieces, one after
  /// another. Copies the rows. To stop it: options.canceller.
  std::future<Result<ScoreResult>> ScoreAsync(const ScoreRequest& request, const CallOptions& options = {}) const;
  ScoreStream OpenScoreStream(const StreamOptions& options = {}) const;

  /// `progress` hears which stage begins; after a broken connection the stages begin anew.
  Result<Verdict> Verify(const VerifyRequest& request, const std::function<void(Stage)>& progress = {},
                         const CallOptions& options = {}) const;
  VerifyStream OpenVerifyStream(const VerifyStreamOptions& options = {}) const;
  /// Artifacts beneath a folder (or the one that is named), sorted by path.
  Result<std::vector<Artifact>> ListArtifacts(const std::string& folder, const std::string& meta_glob = "",
                                              const CallOptions& options = {}) const;

  Result<std::vector<Detector>> ListDetectors(const std::string& name = "", const CallOptions& options = {}) const;
  /// "name", "name@version", or "": the engine's default.
  Result<Detector> GetDetector(const std::string& detector, const CallOptions& options = {}) const;
  Result<Operation> Fit(const FitRequest& request, const CallOptions& options = {}) const;
  Result<Operation> GetOperation(const std::string& name, const CallOptions& options = {}) const;
  /// Waits for the end of an operation (without a limit of time, where the options set none) and gives its last state.
  Result<Operation> WatchOperation(const std::string& name, const std::function<void(const Operation&)>& change = {},
                                   const CallOptions& options = {}) const;
  Result<Operation> CancelOperation(const std::string& name, const CallOptions& options = {}) const;
  Result<Detector> LoadDetector(const std::string& folder, bool activate, const CallOptions& options = {}) const;
  Result<Detector> ActivateDetector(const std::string& detector, const CallOptions& options = {}) const;
  Result<Detector> RollBackDetector(const std::string& name, const CallOptions& options = {}) const;

  /// `entry` hears of each meta file as it is done.
  Status Backfill(const BackfillRequest& request, const std::function<void(const BackfillEntry&)>& entry,
                  const CallOptions& options = {}) const;
  Result<SanitizeResult> Sanitize(const SanitizeRequest& request, const CallOptions& options = {}) const;
  Result<RetrainPlan> PlanRetraining(const std::string& meta_path, const std::string& detector = "",
                                     const CallOptions& options = {}) const;
  /// The standard health service: of the engine, or of one service ("driftseal.v1.Scoring"). Never retried.
  Result<Health> CheckHealth(const std::string& service = "", const CallOptions& options = {}) const;

 private:
  explicit Client(std::shared_ptr<internal::Core> core) : core_(std::move(core)) {}
  std::shared_ptr<internal::Core> core_;
};

}  // namespace driftseal

#endif  // DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_CLIENT_H_
