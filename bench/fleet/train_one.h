#ifndef DRIFTSEAL_BENCH_FLEET_TRAIN_ONE_H_
#define DRIFTSEAL_BENCH_FLEET_TRAIN_ONE_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/fleet/attack.h"
#include "bench/fleet/shift.h"

namespace driftseal::fleet {

struct Trained {
  std::unique_ptr<Model> model;
  std::vector<double> losses;  ///< Of all epochs, those of a variant's further training included.
  Rows rows;                   ///< As trained on at first, poisoned or not.
  double seconds = 0;
};

/// Trains on a random subset of the pool of its own, and does afterwards what the variant wants, on rows of the pool
/// that are not in the subset (where it has all of them: on the subset's). `plan` may be null: clean.
absl::StatusOr<Trained> TrainOne(const Domain& domain, const Recipe& recipe, const Regime& regime,
                                 const AttackPlan* plan, const VariantPlan& variant, uint64_t seed);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_TRAIN_ONE_H_
