#ifndef DRIFTSEAL_BENCH_FLEET_METRICS_H_
#define DRIFTSEAL_BENCH_FLEET_METRICS_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/fleet/attack.h"
#include "bench/fleet/domain.h"

namespace driftseal::fleet {

/// Of rows × classes probabilities against labels.
struct Metrics {
  double accuracy = 0;
  double auc =
      0;  ///< Two classes only: Pr[score of a random row of class 1 > that of one of class 0], ties count half.
  std::vector<double> recall;  ///< Of each class; 0 for a class without rows.
  double Primary(const std::string& name) const { return name == "auc" ? auc : accuracy; }
};

/// The class with the largest probability, the first of equals.
int PredictedClass(std::span<const float> probabilities);
Metrics Measure(std::span<const float> probabilities, const Rows& rows, int classes);

/// The attack's success on held-out rows, nothing where the attack has no such measure.
/// With a trigger: of the rows that the attack turns into another class (all but those of the target class; all-to-all:
/// every row that the model gives its own class, into the next; source-specific: the source class) and that are not
/// given that class without the trigger, the share that is given it with the trigger. Class-to-class flips: the share
/// of the source class that is given to the target.
std::optional<double> AttackSuccess(const Model& model, const AttackPlan& plan, const Rows& rows, int classes);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_METRICS_H_
