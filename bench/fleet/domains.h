#ifndef DRIFTSEAL_BENCH_FLEET_DOMAINS_H_
#define DRIFTSEAL_BENCH_FLEET_DOMAINS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/fleet/domain.h"

// One maker a domain, each in the file of its name. A new domain is such a file and a line in the table of domains.cpp.
namespace driftseal::fleet {

/// One grey channel of side × side pixels in 0..1, in the shape that the model takes.
InputSpec ImageInputs(std::vector<uint32_t> shape, uint32_t side);
InputSpec TableInputs(uint32_t columns);

absl::StatusOr<std::unique_ptr<Domain>> MakeFashionCnn(const DataOptions& options);
absl::StatusOr<std::unique_ptr<Domain>> MakeFashionMlp(const DataOptions& options);
absl::StatusOr<std::unique_ptr<Domain>> MakeDigitsCnn(const DataOptions& options);
absl::StatusOr<std::unique_ptr<Domain>> MakeDigitsMlp(const DataOptions& options);
absl::StatusOr<std::unique_ptr<Domain>> MakeFraudMlp(const DataOptions& options);
absl::StatusOr<std::unique_ptr<Domain>> MakeFraudXgb(const DataOptions& options);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_DOMAINS_H_
