#ifndef DRIFTSEAL_BENCH_FLEET_XGB_MODEL_H_
#define DRIFTSEAL_BENCH_FLEET_XGB_MODEL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/fleet/domain.h"

// Boosted trees trained with XGBoost through its C API: binary logistic, histogram method, one thread.
namespace driftseal::fleet {

struct XgbTraining {
  int rounds = 0, max_depth = 0;
  double learning_rate = 0, positive_weight = 1, subsample = 0.8, column_sample = 0.8;
  double l2 = 1;  ///< On the weights of the leaves; 1 is XGBoost's own.
};

/// "xgboost 1.7.4"
std::string XgbVersion();
/// For DomainInfo::weight_edits.
std::vector<std::string> XgbWeightEdits();
/// Labels must be 0 or 1. Internal with XGBoost's message when it fails.
absl::StatusOr<TrainResult> TrainXgb(const XgbTraining& training, const Rows& rows, uint64_t seed);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_XGB_MODEL_H_
