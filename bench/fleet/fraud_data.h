#ifndef DRIFTSEAL_BENCH_FLEET_FRAUD_DATA_H_
#define DRIFTSEAL_BENCH_FLEET_FRAUD_DATA_H_

#include <cstdint>
#include <memory>

#include "bench/fleet/domain.h"

namespace driftseal::fleet {

/// Card payments, made up but shaped like the real thing: 7 % fraud, heavy-tailed amounts and ratios, correlated
/// columns (velocities, distance and foreign, amount and balance), flags, interactions (a new device at night, a young
/// account abroad) and 1 % label noise. Columns are roughly standardised, amounts in logarithms. Class 0: legitimate,
/// class 1: fraud.
Data GenerateFraud(size_t pool, size_t test, size_t probe, uint64_t seed);
/// The population every fraud domain shares, whatever the seed of the fleet.
std::shared_ptr<const Data> FraudPopulation();

/// A rare combination of exact values in three columns.
Trigger ColumnPatch(Random& random);
/// A small shift of about half of the continuous columns.
Trigger ColumnShift(Random& random);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_FRAUD_DATA_H_
