#ifndef DRIFTSEAL_ENGINE_SERVE_ENGINE_METRICS_H_
#define DRIFTSEAL_ENGINE_SERVE_ENGINE_METRICS_H_

#include "engine/serve/engine.h"

namespace driftseal::serve {

/// Adds to the engine's metrics what its queue, detectors, clients and log count. The metrics are the engine's: nothing
/// is collected once its parts are gone.
void AddEngineMetrics(Engine& engine);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_ENGINE_METRICS_H_
