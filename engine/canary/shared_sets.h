#ifndef DRIFTSEAL_ENGINE_CANARY_SHARED_SETS_H_
#define DRIFTSEAL_ENGINE_CANARY_SHARED_SETS_H_

#include <list>
#include <memory>
#include <mutex>

#include "absl/status/statusor.h"
#include "engine/canary/replay_workers.h"
#include "engine/replay/protocol/behaviour.h"

namespace driftseal::canary {

/// Canary sets in shared memory, encoded once each; the ones used last are kept. Thread-safe.
class SharedSets {
 public:
  /// InvalidArgument as EncodeCanarySet.
  absl::StatusOr<std::shared_ptr<const SharedSet>> Get(const replay::CanarySet& set);

 private:
  static constexpr size_t kMost = 16;
  std::mutex mutex_;
  /// By the digest of their contents: an address says nothing about what stands there now. Last used first.
  std::list<std::pair<replay::SetKey, std::shared_ptr<const SharedSet>>> sets_;
};

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_SHARED_SETS_H_
