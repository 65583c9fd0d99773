#ifndef DRIFTSEAL_ENGINE_DETECTOR_SCORE_H_
#define DRIFTSEAL_ENGINE_DETECTOR_SCORE_H_

#include <span>
#include <string>
#include <vector>

#include "engine/detector/members.h"
#include "engine/detector/state.h"

namespace driftseal::detector {

/// What one departure from a constant column adds to the combined score, and how many columns add it: as much as lying
/// three times as far out as nine tenths of the fitting rows, however many columns tell the same story. The calibration
/// rows are scored alike, so that a column from which clean models depart now and then costs no false alarm.
inline constexpr double kDepartureScore = 3;
inline constexpr size_t kMostDepartures = 5;

/// S = mean of the normalised members + kDepartureScore·min(departures, kMostDepartures); NaN when nothing is
/// normalised.
double Combine(const FamilyDetector& detector, const RawScores& raw, size_t departures);

std::vector<MemberScore> MemberScores(const FamilyDetector& detector, const RawScores& raw);

/// `row` has been checked.
Score ScoreWith(const DetectorState& state, const FamilyDetector& detector, Basis basis, std::span<const double> row,
                const std::string& family);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_SCORE_H_
