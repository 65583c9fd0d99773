#ifndef DRIFTSEAL_ENGINE_REPLAY_MODELS_H_
#define DRIFTSEAL_ENGINE_REPLAY_MODELS_H_

#include "engine/replay/service/serve.h"

namespace driftseal::replay {

/// What `driftseal-replay --serve` does for its jobs: Probe and Replay (engine/replay/probe), with LibTorch warmed up
/// so that workers find it ready and need no file.
Handlers ModelHandlers();

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_MODELS_H_
