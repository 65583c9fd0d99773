#ifndef DRIFTSEAL_ENGINE_REPLAY_LIMITS_H_
#define DRIFTSEAL_ENGINE_REPLAY_LIMITS_H_

#include "absl/status/status.h"

namespace driftseal::replay {

/// Called first in main, before LibTorch does anything: closes every descriptor but the standard three, ties the
/// process to its parent's life, gives up new privileges, and limits address space, processor time, files and cores.
absl::Status LimitSelf();

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_LIMITS_H_
