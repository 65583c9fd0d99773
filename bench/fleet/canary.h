#ifndef DRIFTSEAL_BENCH_FLEET_CANARY_H_
#define DRIFTSEAL_BENCH_FLEET_CANARY_H_

#include <string>

#include "absl/status/statusor.h"
#include "bench/fleet/domain.h"
#include "engine/replay/protocol/behaviour.h"

namespace driftseal::fleet {

/// The domain's clean references: rows that no model trains on and on which nothing in the meta files and the truth
/// file is measured. The same whatever the seed of the fleet.
replay::CanarySet CanariesOf(const Domain& domain);

/// Writes them as FOLDER/NAME.canary.safetensors, atomically; makes the folder where it is missing.
absl::Status WriteCanaries(const Domain& domain, const std::string& folder);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_CANARY_H_
