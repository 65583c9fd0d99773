#ifndef DRIFTSEAL_ENGINE_SERVE_PROCESS_METRICS_H_
#define DRIFTSEAL_ENGINE_SERVE_PROCESS_METRICS_H_

#include <vector>

#include "prometheus/metric_family.h"

namespace driftseal::serve {

/// What every Prometheus client tells of its process, under the names they all use: processor time, memory,
/// descriptors, start. What /proc does not say is left out.
void CollectProcess(std::vector<prometheus::MetricFamily>& families);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_PROCESS_METRICS_H_
