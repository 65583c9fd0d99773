#include "engine/detector/plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "engine/detector/statistics.h"
#include "kernels/random.h"

namespace driftseal::detector {
namespace {

/// FNV-1a, which is the same everywhere, then a draw that brings in the seed.
uint64_t Rank(const std::string& id, uint64_t seed) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char byte : id) hash = (hash ^ byte) * 0x100000001b3u;
  return kernels::Random(seed, hash).Next();
}

kernels::RowsView<double> Gather(const std::vector<Sample>& samples, std::span<const size_t> rows, Matrix& storage) {
  for (size_t row : rows) storage.Append(samples[row].values);
  return storage.View();
}

Plan Split(const std::string& key, const std::vector<Sample>& samples, std::span<const size_t> members,
           const FitOptions& options) {
  Plan plan;
  plan.key = key;
  const std::vector<size_t> order = ShuffledById(samples, members, options.seed);
  auto calibrating = static_cast<size_t>(options.calibration_share * static_cast<double>(order.size()));
  if (options.calibration_share > 0) {
    if (order.size() >= kLeastCalibrating + kLeastFittingBeside) calibrating = std::max(calibrating, kLeastCalibrating);
    if (order.size() > calibrating + kMostFittingRows) calibrating = order.size() - kMostFittingRows;
  }
  calibrating = std::min(calibrating, order.size() - std::min(order.size(), kLeastFittingRows));
  const auto cut = order.begin() + static_cast<std::ptrdiff_t>(calibrating);
  plan.calibrate.assign(order.begin(), cut);
  plan.fit.assign(cut, order.end());
  if (plan.fit.size() > kMostFittingRows) plan.fit.resize(kMostFittingRows);
  return plan;
}

/// Scales the fitting rows; rows of either part that say next to nothing leave the plan.
void ScaleRows(const std::vector<Sample>& samples, Plan& plan) {
  if (plan.scaler.columns.empty()) {
    plan.problem = absl::StrCat("no column varies among its ", plan.fit.size(), " fitting models (",
                                plan.scaler.constants.size(), " are constant, the others mostly missing)");
    return;
  }
  std::vector<size_t> fit, calibrate;
  for (size_t sample : plan.fit) {
    const ScaledRow row = Scale(plan.scaler, samples[sample].values);
    if (MostlyMissing(plan.scaler, row)) continue;
    plan.rows.Append(row.values);
    fit.push_back(sample);
  }
  for (size_t sample : plan.calibrate) {
    if (!MostlyMissing(plan.scaler, Scale(plan.scaler, samples[sample].values))) calibrate.push_back(sample);
  }
  plan.fit = std::move(fit);
  plan.calibrate = std::move(calibrate);
  if (plan.fit.size() < kLeastFittingRows) {
    plan.problem = absl::StrCat("only ", plan.fit.size(), " fitting models have most of the columns; ",
                                kLeastFittingRows, " are needed");
  }
}

/// Columns of which View::kBehaviour makes its scaled rows.
bool IsBehaviour(ColumnUse use) {
  return use == ColumnUse::kStill || use == ColumnUse::kBehaviour || use == ColumnUse::kBalance;
}

/// Leaves the columns that the view's members read.
void KeepView(const FitOptions& options, View view, Scaler& scaler) {
  if (options.uses.empty()) return;
  const auto other = [&](const auto& column) {
    const ColumnUse use = options.uses[column.feature];
    switch (view) {
      case View::kFiles:
        return use != ColumnUse::kFiles;
      case View::kBehaviour:
        return !IsBehaviour(use);
      case View::kStill:
        return use != ColumnUse::kStill;
    }
    return true;
  };
  std::erase_if(scaler.columns, other);
  std::erase_if(scaler.constants, other);
}

/// What the models show in each context column, and a half of their inner 90 % beyond on both sides.
std::vector<RangeNote> RangesOf(const std::vector<Sample>& samples, std::span<const size_t> members,
                                const FitOptions& options) {
  constexpr double kBeyond = 0.5;
  std::vector<RangeNote> ranges;
  for (size_t c = 0; c < options.uses.size(); ++c) {
    if (options.uses[c] != ColumnUse::kContext) continue;
    std::vector<double> present;
    for (size_t member : members) {
      if (!std::isnan(samples[member].values[c])) present.push_back(samples[member].values[c]);
    }
    if (2 * present.size() < members.size() || present.empty()) continue;
    std::sort(present.begin(), present.end());
    const double margin = kBeyond * (Quantile(present, 0.95) - Quantile(present, 0.05));
    if (margin > 0) ranges.push_back({c, 0, present.front() - margin, present.back() + margin});
  }
  return ranges;
}

/// How a column behaves within families, from the families with enough rows to tell.
struct WithinFamilies {
  size_t families = 0, present_in = 0;  ///< present_in: at least half of the family's rows have the column.
  std::vector<double> spread;           ///< 1.4826·MAD in each large family.
};

WithinFamilies Examine(const std::vector<Sample>& samples, const std::map<std::string, std::vector<size_t>>& families,
                       size_t feature) {
  constexpr size_t kLargeFamily = 5;
  WithinFamilies result;
  for (const auto& [key, rows] : families) {
    std::vector<double> present;
    for (size_t row : rows) {
      if (!std::isnan(samples[row].values[feature])) present.push_back(samples[row].values[feature]);
    }
    ++result.families;
    if (present.empty() || 2 * present.size() < rows.size()) continue;
    ++result.present_in;
    if (present.size() >= kLargeFamily) {
      result.spread.push_back(kMadToSigma * MedianDeviation(present, Median(present)));
    }
  }
  return result;
}

/// Leaves the columns that most families have and that mean the same in each. A column whose spread within families is
/// less than a tenth of its spread over all (the number of parameters, say) is a mark of the family: it would call
/// every model of a small family an outlier for being of that family. Keeps all columns where hardly any would be left.
void KeepComparable(const std::vector<Sample>& samples, Plan& plan) {
  constexpr double kMark = 0.1;
  constexpr size_t kLeastColumns = 2;
  std::map<std::string, std::vector<size_t>> families;
  for (size_t row : plan.fit) families[samples[row].family].push_back(row);
  std::vector<Column> kept;
  for (const Column& column : plan.scaler.columns) {
    const WithinFamilies within = Examine(samples, families, column.feature);
    if (2 * within.present_in < within.families) continue;
    if (within.spread.size() >= 2 && Median(within.spread) < kMark * column.scale) continue;
    kept.push_back(column);
  }
  if (kept.size() >= kLeastColumns) plan.scaler.columns = std::move(kept);
}

}  // namespace

std::vector<size_t> ShuffledById(const std::vector<Sample>& samples, std::span<const size_t> members, uint64_t seed) {
  std::vector<std::pair<uint64_t, size_t>> ranked;
  for (size_t member : members) ranked.emplace_back(Rank(samples[member].id, seed), member);
  std::sort(ranked.begin(), ranked.end(), [&](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : samples[a.second].id < samples[b.second].id;
  });
  std::vector<size_t> order;
  for (const auto& [rank, member] : ranked) order.push_back(member);
  return order;
}

std::vector<size_t> WithBehaviour(const std::vector<Sample>& samples, std::span<const size_t> members,
                                  const FitOptions& options) {
  std::vector<size_t> measured;
  for (size_t member : members) {
    size_t columns = 0, present = 0;
    for (size_t c = 0; c < options.uses.size(); ++c) {
      if (!IsBehaviour(options.uses[c])) continue;
      ++columns;
      present += !std::isnan(samples[member].values[c]);
    }
    if (columns > 0 && 3 * present >= columns) measured.push_back(member);
  }
  return measured;
}

Plan PlanFamily(const std::string& key, const std::vector<Sample>& samples, std::span<const size_t> members,
                const FitOptions& options, View view) {
  Plan plan = Split(key, samples, members, options);
  plan.view = view;
  Matrix raw;
  plan.scaler = FitScaler(Gather(samples, plan.fit, raw));
  KeepView(options, view, plan.scaler);
  if (view != View::kFiles) plan.ranges = RangesOf(samples, members, options);
  ScaleRows(samples, plan);
  return plan;
}

Plan PlanGlobal(const std::vector<Sample>& samples, const FitOptions& options) {
  std::vector<size_t> all(samples.size());
  std::iota(all.begin(), all.end(), size_t{0});
  Plan plan = Split(kGlobalKey, samples, all, options);
  Matrix raw;
  plan.scaler = FitScaler(Gather(samples, plan.fit, raw));
  KeepView(options, View::kFiles, plan.scaler);
  KeepComparable(samples, plan);
  ScaleRows(samples, plan);
  return plan;
}

}  // namespace driftseal::detector
