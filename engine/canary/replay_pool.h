#ifndef DRIFTSEAL_ENGINE_CANARY_REPLAY_POOL_H_
#define DRIFTSEAL_ENGINE_CANARY_REPLAY_POOL_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/replay/protocol/behaviour.h"

// The engine's side of driftseal-replay: sandboxed processes in which models run.
namespace driftseal::canary {

struct PoolOptions {
  std::string program;   ///< driftseal-replay.
  unsigned workers = 0;  ///< Processes that run models at once; 0: all cores.
  /// What the kernel must provide (SandboxMeasures). A measure that lacks is an error unless allowed here by name
  /// ("landlock", "network-namespace", ...), or by "all".
  std::vector<std::string> allow_missing;
  std::chrono::milliseconds time_limit{60'000};  ///< Wall clock of one model.
  size_t memory_limit = size_t{4} << 30;         ///< Address space that a model may add, in bytes.
  /// Models run in a fresh copy of a warm process each (true), or one after the other in the same (false: faster, and
  /// one model can then reach the next: for models that are trusted).
  bool isolate_each = true;
};

/// One measure of the sandbox, and whether this machine has it.
struct SandboxMeasure {
  std::string name;  ///< "user-namespace", "network-namespace", "ipc-namespace", "pid-namespace", "capabilities",
                     ///< "rlimits", "no-new-privs", "landlock", "seccomp"
  bool active = false;
  std::string problem;  ///< Why it is not.
};

/// Thread-safe. A model that spins, eats memory, crashes or lies costs its own call, nothing else.
class ReplayPool {
 public:
  /// FailedPrecondition naming program or the measures that lack.
  static absl::StatusOr<std::unique_ptr<ReplayPool>> Start(const PoolOptions& options);
  virtual ~ReplayPool() = default;

  /// What Probe (engine/replay/probe/probe.h) measured, decoded and checked. `set` stays valid during the call and is
  /// sent to a worker once (known by its digest). Blocks while all workers are busy. DeadlineExceeded,
  /// ResourceExhausted (memory), InvalidArgument (not such a model; does not take the set's inputs), Internal (it
  /// crashed: with the signal; its code failed: with what it said).
  virtual absl::StatusOr<replay::RawBehaviour> Probe(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                                     const replay::CanarySet& set,
                                                     const replay::ProbeOptions& options) = 0;
  /// Outputs on the canaries alone.
  virtual absl::StatusOr<replay::RawBehaviour> Replay(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                                      const replay::CanarySet& set) = 0;
  /// What the workers run under, as they reported it.
  virtual const std::vector<SandboxMeasure>& measures() const = 0;
};

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_REPLAY_POOL_H_
