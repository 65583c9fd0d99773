#ifndef DRIFTSEAL_ENGINE_REPLAY_SERVICE_WORKER_H_
#define DRIFTSEAL_ENGINE_REPLAY_SERVICE_WORKER_H_

#include <list>
#include <memory>
#include <string_view>

#include "engine/replay/service/sandbox.h"
#include "engine/replay/service/serve.h"

namespace driftseal::replay {

/// The canary sets that were used last, decoded.
class SetCache {
 public:
  /// The set of this key; decoded from `memory`, of `length` bytes, where it is not known.
  absl::StatusOr<std::shared_ptr<const CanarySet>> Get(const SetKey& key, int memory, uint64_t length,
                                                       const Handlers& handlers);

 private:
  static constexpr size_t kMost = 8;
  std::list<std::pair<SetKey, std::shared_ptr<const CanarySet>>> sets_;  ///< Last used first.
};

/// What a worker gets from the service that forked it.
struct WorkerStart {
  int work = -1, output = -1;  ///< Descriptors.
  Spawn spawn;
  uint64_t address_space = 0;  ///< What the service has, in bytes.
};

/// Runs in the forked process: closes the sandbox for good and works off jobs until the engine closes the socket.
[[noreturn]] void RunWorker(const WorkerStart& start, const Sandbox& sandbox, const Handlers& handlers, SetCache& sets);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_SERVICE_WORKER_H_
