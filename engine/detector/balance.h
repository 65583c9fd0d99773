#ifndef DRIFTSEAL_ENGINE_DETECTOR_BALANCE_H_
#define DRIFTSEAL_ENGINE_DETECTOR_BALANCE_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/detector/calibration.h"
#include "engine/detector/plan.h"
#include "kernels/mahalanobis/mahalanobis.h"

// The member "balance": how sure the model is of one class against the others. Training settles it; whoever edits
// weights or plants a target unsettles it, by little in each class, which a distance over all columns loses.
namespace driftseal::detector {

struct Balance {
  std::vector<uint32_t> columns;  ///< Indices into the scaler's columns.
  kernels::mahalanobis::Mahalanobis model;
  std::optional<Normaliser> normaliser;
};

/// On the scaled columns of ColumnUse::kBalance, of the plan's fitting rows; nothing with fewer than 3 of them.
std::optional<Balance> FitBalance(const Plan& plan, const std::vector<ColumnUse>& uses);

/// The Mahalanobis distance of the row in these columns. `row` has the schema's columns, float or double; missing ones
/// are taken to be at the median.
template <class Value>
double BalanceScore(const Balance& balance, const Scaler& scaler, std::span<const Value> row);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_BALANCE_H_
