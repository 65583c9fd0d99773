#include "engine/detector/balance.h"

#include <cmath>
#include <utility>

#include "engine/detector/shrinkage.h"

namespace driftseal::detector {
namespace {

/// The margins of two classes, relative to their mean, are one number: too little for a voice.
constexpr size_t kLeastClasses = 3;

double Distance(const kernels::mahalanobis::Mahalanobis& model, std::span<const double> values) {
  double squared = 0;
  kernels::mahalanobis::ScoreReference(model, {values.data(), 1, values.size()}, {&squared, 1});
  return std::sqrt(squared);
}

/// The columns of the plan's rows, but for those of one fold (kFolds: of all rows).
Matrix Without(const Plan& plan, std::span<const uint32_t> columns, size_t fold) {
  Matrix out;
  std::vector<double> row(columns.size());
  for (size_t r = 0; r < plan.rows.rows; ++r) {
    if (fold < kFolds && r % kFolds == fold) continue;
    for (size_t c = 0; c < columns.size(); ++c) row[c] = plan.rows.View().row(r)[columns[c]];
    out.Append(row);
  }
  return out;
}

std::vector<double> OutOfFold(const Plan& plan, std::span<const uint32_t> columns) {
  const Matrix all = Without(plan, columns, kFolds);
  std::vector<double> scores;
  for (size_t fold = 0; fold < kFolds; ++fold) {
    const Matrix kept = Without(plan, columns, fold);
    const kernels::mahalanobis::Mahalanobis model = FitMahalanobis(kept.View());
    for (size_t r = fold; r < all.rows; r += kFolds) scores.push_back(Distance(model, {all.View().row(r), all.cols}));
  }
  return scores;
}

}  // namespace

std::optional<Balance> FitBalance(const Plan& plan, const std::vector<ColumnUse>& uses) {
  Balance balance;
  for (uint32_t c = 0; c < plan.scaler.columns.size() && !uses.empty(); ++c) {
    if (uses[plan.scaler.columns[c].feature] == ColumnUse::kBalance) balance.columns.push_back(c);
  }
  if (balance.columns.size() < kLeastClasses) return std::nullopt;
  balance.model = FitMahalanobis(Without(plan, balance.columns, kFolds).View());
  balance.normaliser = FitNormaliser(OutOfFold(plan, balance.columns));
  return balance;
}

template <class Value>
double BalanceScore(const Balance& balance, const Scaler& scaler, std::span<const Value> row) {
  std::vector<double> values;
  values.reserve(balance.columns.size());
  const double bound = ClipBound(scaler);
  for (const uint32_t c : balance.columns) {
    const Column& column = scaler.columns[c];
    values.push_back(ScaledValue(column, bound, static_cast<double>(row[column.feature])));
  }
  return Distance(balance.model, values);
}
template double BalanceScore(const Balance&, const Scaler&, std::span<const double>);
template double BalanceScore(const Balance&, const Scaler&, std::span<const float>);

}  // namespace driftseal::detector
