#ifndef DRIFTSEAL_ENGINE_DETECTOR_PLAN_H_
#define DRIFTSEAL_ENGINE_DETECTOR_PLAN_H_

#include <span>
#include <string>
#include <vector>

#include "engine/detector/detector.h"
#include "engine/detector/scaling.h"
#include "kernels/rows.h"

// Who fits and who calibrates, and on which columns.
namespace driftseal::detector {

/// Cross-fitting: each fifth of the fitting rows is scored by members that were fitted on the rest.
inline constexpr size_t kFolds = 5;
inline constexpr size_t kLeastFittingRows = 4;
/// More rows change no member noticeably, but the cost of fitting and of kNN grows with them; the rest calibrates.
inline constexpr size_t kMostFittingRows = 2000;

/// Fewer calibrating models can give no p-value of 5 % or less, and then nothing can be called at that level: a family
/// that keeps enough models to fit on gives up this many, whatever the share says.
inline constexpr size_t kLeastCalibrating = 19, kLeastFittingBeside = 8;

/// Rows that own their values.
struct Matrix {
  size_t rows = 0, cols = 0;
  std::vector<double> values;
  kernels::RowsView<double> View() const { return {values.data(), rows, cols}; }
  void Append(std::span<const double> row) {
    values.insert(values.end(), row.begin(), row.end());
    cols = row.size();
    ++rows;
  }
};

/// One detector that is to be fitted.
struct Plan {
  std::string key;
  View view = View::kFiles;
  Scaler scaler;
  std::vector<size_t> fit,
      calibrate;                  ///< Indices into the samples. Row i of `rows` is sample fit[i], in fold i % kFolds.
  Matrix rows;                    ///< The fitting rows, scaled.
  std::vector<RangeNote> ranges;  ///< Of the behaviour view: what fitting and calibrating rows show in context columns.
  std::string problem;            ///< Why no detector can be fitted; empty otherwise.
};

/// The samples in an order that depends on seed and ids alone: each detector calibrates on the first of its samples in
/// this order, and fits on the rest.
std::vector<size_t> ShuffledById(const std::vector<Sample>& samples, std::span<const size_t> members, uint64_t seed);

Plan PlanFamily(const std::string& key, const std::vector<Sample>& samples, std::span<const size_t> members,
                const FitOptions& options, View view = View::kFiles);
/// The members whose behaviour was measured: at least a third of the columns for it are there (columns of classes that
/// the models do not have never are).
std::vector<size_t> WithBehaviour(const std::vector<Sample>& samples, std::span<const size_t> members,
                                  const FitOptions& options);
/// On all samples, with the columns that most families have and that do not merely tell the families apart.
Plan PlanGlobal(const std::vector<Sample>& samples, const FitOptions& options);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_PLAN_H_
