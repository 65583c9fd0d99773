#ifndef DRIFTSEAL_ENGINE_SERVE_REPLAYS_H_
#define DRIFTSEAL_ENGINE_SERVE_REPLAYS_H_

#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/canary/prober.h"
#include "engine/canary/replay_pool.h"
#include "engine/canary/set_files.h"
#include "engine/detector/detector.h"
#include "engine/screen/screen.h"
#include "engine/serve/engine.h"

namespace driftseal::serve {

class ReplayCounts;

/// Runs models for the engine: one pool of sandboxed processes, and the canary sets of each detector. Safe to share
/// between threads; its calls block while all workers are busy, so they belong on threads of the VerifyPool.
class Replays {
 public:
  /// Starts the pool where a detector of the engine has canary sets, or where the settings say `on`; otherwise it
  /// starts when the first one comes. FailedPrecondition naming the setting, the program or the measures that lack,
  /// with replay = "on"; with "auto" that is logged, and models are not run. Its counts are on /metrics.
  static absl::StatusOr<std::shared_ptr<Replays>> Open(Engine& engine, StartReplay start);

  /// What runs models for this detector, whose files lie in `folder`. FailedPrecondition naming a canary set that is
  /// not the one it was fitted with.
  absl::StatusOr<screen::Replaying> For(const detector::Detector& detector, const std::string& folder);
  /// The same by the engine's registry.
  absl::StatusOr<screen::Replaying> For(const Engine& engine, const detector::Detector& detector);
  /// What runs models on other sets, for a fit. FailedPrecondition where this engine runs none.
  absl::StatusOr<screen::Replaying> For(std::vector<canary::SetFile> sets);
  /// Whether models of a detector that has canary sets are run.
  bool runs();

 private:
  Replays(const Options& options, Log& log, StartReplay start);
  /// The pool, started when needed; null: `why_not_` says why.
  std::shared_ptr<canary::ReplayPool> Pool();

  const Options& options_;
  Log& log_;
  const StartReplay start_;
  const std::shared_ptr<ReplayCounts> counts_;
  std::mutex mutex_;  ///< Of what follows.
  bool tried_ = false;
  std::shared_ptr<canary::ReplayPool> pool_;
  std::string why_not_;
  /// Of the last used detectors, by name@version and folder; the last used first.
  std::list<std::pair<std::string, std::shared_ptr<const canary::Prober>>> probers_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_REPLAYS_H_
