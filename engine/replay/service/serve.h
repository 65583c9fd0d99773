#ifndef DRIFTSEAL_ENGINE_REPLAY_SERVICE_SERVE_H_
#define DRIFTSEAL_ENGINE_REPLAY_SERVICE_SERVE_H_

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/replay/protocol/message.h"

// `driftseal-replay --serve`: a process that has loaded everything once, has shut itself in, and forks a worker
// whenever the engine asks for one (docs/formats/replay.md). It knows nothing of LibTorch: what a job is, its caller
// says.
namespace driftseal::replay {

struct Handlers {
  /// Once, before the sandbox closes: whatever opens files or takes long. May leave no thread behind.
  std::function<void()> warm;
  /// From the engine's bytes; the result serves all workers.
  std::function<absl::StatusOr<CanarySet>(std::string_view bytes, std::string_view name)> decode_set;
  /// In a worker. The payload of the answer, or InvalidArgument, ResourceExhausted or Internal; may throw.
  std::function<absl::StatusOr<std::string>(std::span<const std::byte> model, const Job& job, const CanarySet& set)>
      work;
};

struct ServeOptions {
  int control = 3;                   ///< The socket to the engine. The program ends when it closes.
  std::vector<std::string> without;  ///< Measures of the sandbox to leave out.
};

/// Exit codes of workers that had no way to answer.
inline constexpr int kExitProtocol = 70, kExitMemory = 71;

/// The program's exit code.
int Serve(const ServeOptions& options, const Handlers& handlers);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_SERVICE_SERVE_H_
