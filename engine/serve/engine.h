#ifndef DRIFTSEAL_ENGINE_SERVE_ENGINE_H_
#define DRIFTSEAL_ENGINE_SERVE_ENGINE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "engine/artifact/source.h"
#include "engine/batch/batcher.h"
#include "engine/canary/replay_pool.h"
#include "engine/detector/backend.h"
#include "engine/detector/registry.h"
#include "engine/serve/gate.h"
#include "engine/serve/log.h"
#include "engine/serve/metrics.h"
#include "engine/serve/options.h"

namespace driftseal::store {
class VerdictStore;
}

namespace driftseal::serve {

class Monitor;
class Operations;
class Replays;
class VerifyPool;

/// How the processes that run models are started; tests have their own.
using StartReplay = absl::StatusOr<std::unique_ptr<canary::ReplayPool>> (*)(const canary::PoolOptions& options);

/// What all services of a running engine share. Made once, before anything listens; its parts are safe to share between
/// threads and live as long as it does. Outlives the server.
struct Engine {
  /// Opens the artifact root, the tokens file, the state folder with its detectors and stored verdicts, and starts the
  /// threads that score and verify. Listens to nothing. Errors name the setting. `log` outlives the engine.
  static absl::StatusOr<std::unique_ptr<Engine>> Open(const Options& options, Log* log,
                                                      StartReplay start = canary::ReplayPool::Start);
  /// What Open and Server::Start would refuse that can be told without writing, listening or starting threads: levels
  /// and limits, files that must be readable (tokens, certificates), folders that must be there. Errors name the
  /// setting.
  static absl::Status Check(const Options& options);
  ~Engine();

  const Options options;
  Log& log;
  const artifact::Root root;  ///< Paths from the network stay beneath it.

  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<Gate> gate;  ///< Every handler begins there.
  std::shared_ptr<const detector::Backend> backend;
  std::unique_ptr<detector::Registry> detectors;
  std::unique_ptr<batch::Batcher> batcher;

  std::shared_ptr<Replays> replays;  ///< Runs models; outlives the threads that read them.

  // Filled in by OpenVerifying.
  std::shared_ptr<VerifyPool> verify_pool;  ///< Threads that read artifacts.
  std::shared_ptr<store::VerdictStore> verdicts;
  std::shared_ptr<Operations> operations;
  std::shared_ptr<Monitor> monitor;

 private:
  Engine(const Options& given, Log* to, artifact::Root beneath);
};

/// Makes the parts that verifying needs (verify_pool, verdicts, operations, monitor). Errors name the setting.
absl::Status OpenVerifying(Engine& engine);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_ENGINE_H_
