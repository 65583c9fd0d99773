#ifndef DRIFTSEAL_ENGINE_DETECTOR_SCORE_H_
#define DRIFTSEAL_ENGINE_DETECTOR_SCORE_H_

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

/// The raw score of the member "pairs"; NaN where the detector has none or the row lacks all of its columns. `row` has
/// the schema's columns, float or double.
template <class Value>
double PairScoreOf(const FamilyDetector& detector, std::span<const Value> row) {
  return detector.pairs ? PairScore(*detector.pairs, row) : std::numeric_limits<double>::quiet_NaN();
}

/// S = mean of the normalised members, or kPairWeight of `pairs` and the rest of that mean where the detector reads
/// pairs, + kDepartureScore·min(departures, kMostDepartures); NaN when nothing is normalised. A row without the columns
/// of pairs is taken to be as its family in them.
double Combine(const FamilyDetector& detector, const RawScores& raw, double pairs, size_t departures);

/// Whether a p-value can be given for a row with this combined score.
bool IsCalibrated(const FamilyDetector& detector, Basis basis, double combined, bool mostly_missing);

/// One a member of the detector, "pairs" last.
std::vector<MemberScore> MemberScores(const FamilyDetector& detector, const RawScores& raw, double pairs);

/// Raw scores of rows[i] by detectors[i], by the detector's backend in one call.
absl::StatusOr<std::vector<RawScores>> ScoreAll(const DetectorState& state,
                                                std::span<const FamilyDetector* const> detectors,
                                                std::span<const ScaledRow> rows);

/// What the raw scores of `row` mean, and which columns drove them. `row` has been checked.
Score Explain(const DetectorState& state, const FamilyDetector& detector, Basis basis, std::span<const double> row,
              const std::string& family, const ScaledRow& scaled, const RawScores& raw);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_SCORE_H_
