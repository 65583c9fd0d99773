#ifndef DRIFTSEAL_ENGINE_DETECTOR_SCALING_H_
#define DRIFTSEAL_ENGINE_DETECTOR_SCALING_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "kernels/rows.h"

// From a row of the schema to the row that the members read.
namespace driftseal::detector {

/// A column that the members read, as (value − centre) / scale.
struct Column {
  uint32_t feature = 0;
  double centre = 0, scale = 1;
};

/// A column that had one and the same value in all fitting rows: no member can read it, but a row that departs from it
/// is unlike all of them.
struct ConstantColumn {
  uint32_t feature = 0;
  double value = 0;
};

enum class Scaling {
  kRobust,    ///< Median and 1.4826·MAD, clipped (FitScaler).
  kStandard,  ///< Mean and standard deviation, as scikit-learn's StandardScaler; only in imported detectors.
};

struct Scaler {
  Scaling kind = Scaling::kRobust;
  std::optional<double> clip;  ///< Scaled values are clamped to ± this, so that one column cannot drown the others.
  std::vector<Column> columns;
  std::vector<ConstantColumn> constants;
};

/// Robust z beyond which a column says "far out" and nothing more.
inline constexpr double kClip = 15;

/// Columns that are NaN in more than half of the rows are left out, constant ones become constants. The scale
/// is 1.4826·MAD; where that is 0 (more than half of the values are equal) the interquartile range, and where that is 0
/// too the standard deviation; never below 1e-6·|median|, which is what float32 leaves of a value.
Scaler FitScaler(kernels::RowsView<double> rows);

/// One value of a column, clipped to ± bound; 0 (the centre) where it is NaN.
inline double ScaledValue(const Column& column, double bound, double value) {
  const double z = (value - column.centre) / column.scale;
  const double above = z < -bound ? -bound : z;
  const double within = above > bound ? bound : above;
  return value != value ? 0 : within;
}
inline double ClipBound(const Scaler& scaler) { return scaler.clip.value_or(std::numeric_limits<double>::infinity()); }

struct ScaledRow {
  std::vector<double> values;      ///< One a column, clipped; 0 (the centre) where the row is NaN.
  std::vector<uint32_t> imputed;   ///< Indices into columns.
  std::vector<uint32_t> departed;  ///< Indices into constants.
};
/// `row` has the schema's columns and holds no infinity.
ScaledRow Scale(const Scaler& scaler, std::span<const double> row);

/// What scaling found in a row, without saying where.
struct RowMarks {
  uint32_t imputed = 0, departed = 0;
};
/// The same values as Scale's, to `out` (one a column), nearest float32 where that is a float; without a word about
/// which columns are missing. `row` is float or double.
template <class In, class Out>
RowMarks ScaleInto(const Scaler& scaler, const In* row, Out* out);

/// True when more than half of the scaler's columns are missing from the row: nothing is said about such a row.
inline bool MostlyMissing(const Scaler& scaler, size_t imputed) { return 2 * imputed > scaler.columns.size(); }
inline bool MostlyMissing(const Scaler& scaler, const ScaledRow& row) {
  return MostlyMissing(scaler, row.imputed.size());
}

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_SCALING_H_
