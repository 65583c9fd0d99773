#ifndef DRIFTSEAL_BENCH_FLEET_OPTIONS_H_
#define DRIFTSEAL_BENCH_FLEET_OPTIONS_H_

#include "absl/status/statusor.h"
#include "bench/fleet/fleet.h"

namespace driftseal::fleet {

/// Reads the command line. InvalidArgument for bad usage; Cancelled, after the text was printed, for --help and
/// --version.
absl::StatusOr<FleetOptions> ParseOptions(int argc, const char* const* argv);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_OPTIONS_H_
