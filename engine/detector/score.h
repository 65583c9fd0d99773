#ifndef DRIFTSEAL_ENGINE_DETECTOR_SCORE_H_
#define DRIFTSEAL_ENGINE_DETECTOR_SCORE_H_

#include <array>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/detector/members.h"
#include "engine/detector/state.h"

namespace driftseal::detector {

/// What one departure from a constant column adds to the combined score, and how many columns add it: as much as lying
/// three times as far out as nine tenths of the fitting rows, however many columns tell the same story. The calibration
/// rows are scored alike, so that a column from which clean models depart now and then costs no false alarm.
inline constexpr double kDepartureScore = 3;
inline constexpr size_t kMostDepartures = 5;

/// The detector for a family, and on what grounds.
struct Choice {
  const FamilyDetector* detector;
  Basis basis;
};
/// NotFound where there is neither one for the family nor a global one. Of a family without the view that is asked for,
/// the one that reads files.
absl::StatusOr<Choice> Choose(const DetectorState& state, const std::string& family, View view);
/// The view that a row of this family is judged by: its behaviour where it was measured and the family has that view;
/// of that, what holds still where the row's context lies out of the family's range.
/// `row` is float or double.
template <class Value>
View ViewFor(const DetectorState& state, const std::string& family, std::span<const Value> row);

/// Raw scores of the aspects; NaN for one that the detector lacks, and for pairs where the row lacks all their columns.
using RawAspects = std::array<double, kAspects>;
/// `row` has the schema's columns, float or double.
template <class Value>
RawAspects AspectsOf(const FamilyDetector& detector, std::span<const Value> row) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  return {detector.pairs ? PairScore(*detector.pairs, row) : kNaN,
          detector.balance ? BalanceScore(*detector.balance, detector.scaler, row) : kNaN};
}

/// S = W + kDepartureScore·min(departures, kMostDepartures), where W is the mean of the normalised members or, for a
/// detector with aspects, the mean of that and of each normalised aspect; NaN when no member is normalised. A row
/// without the columns of an aspect is taken to be as its family in it.
double Combine(const FamilyDetector& detector, const RawScores& raw, const RawAspects& aspects, size_t departures);

/// Whether a p-value can be given for a row with this combined score.
bool IsCalibrated(const FamilyDetector& detector, Basis basis, double combined, bool mostly_missing);

/// One a member of the detector, aspects last.
std::vector<MemberScore> MemberScores(const FamilyDetector& detector, const RawScores& raw, const RawAspects& aspects);

/// Raw scores of rows[i] by detectors[i], by the detector's backend in one call.
absl::StatusOr<std::vector<RawScores>> ScoreAll(const DetectorState& state,
                                                std::span<const FamilyDetector* const> detectors,
                                                std::span<const ScaledRow> rows);

/// What the raw scores of `row` mean, and which columns drove them. `row` has been checked.
Score Explain(const DetectorState& state, const FamilyDetector& detector, Basis basis, std::span<const double> row,
              const std::string& family, const ScaledRow& scaled, const RawScores& raw);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_SCORE_H_
