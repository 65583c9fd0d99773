#include "engine/detector/score.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"

namespace driftseal::detector {
namespace {

constexpr size_t kMostDrivers = 5, kMostNames = 5;

/// How much of the members' word each scaled column accounts for: its part of the Mahalanobis distance, the member that
/// is a sum over columns (negative parts, of columns that explain another one's distance, count as none); z² without
/// one.
std::vector<double> ColumnWeights(const std::optional<kernels::mahalanobis::Mahalanobis>& model,
                                  const std::vector<double>& values) {
  std::vector<double> weights(values.size());
  if (model) {
    kernels::mahalanobis::ContributionsReference(*model, values.data(), weights);
  } else {
    for (size_t c = 0; c < weights.size(); ++c) weights[c] = values[c] * values[c];
  }
  double sum = 0;
  for (double& weight : weights) sum += weight = std::isfinite(weight) ? std::max(weight, 0.0) : 0;
  for (double& weight : weights) weight = sum > 0 ? weight / sum : 0;
  return weights;
}

/// What the aspects say, normalised and divided by the number of voices: theirs and the others' mean.
struct Voices {
  std::array<double, kAspects> aspects = {};
  double count = 1;
};

Voices VoicesOf(const FamilyDetector& detector, const RawAspects& raw) {
  Voices voices;
  for (size_t a = 0; a < kAspects; ++a) {
    if (!detector.HasAspect(a) || !detector.AspectNormaliser(a)) continue;
    voices.aspects[a] = std::isnan(raw[a]) ? 0 : detector.AspectNormaliser(a)->Apply(raw[a]);
    ++voices.count;
  }
  for (double& aspect : voices.aspects) aspect /= voices.count;
  return voices;
}

/// How much of a combined score comes from where.
struct Parts {
  double departures = 0, members = 0;
  std::array<double, kAspects> aspects = {};
  double total() const { return departures + members + aspects[kPairs] + aspects[kBalance]; }
};

Parts PartsOf(const FamilyDetector& detector, const ScaledRow& scaled, const RawAspects& raw, double combined) {
  Parts parts;
  parts.departures = kDepartureScore * static_cast<double>(std::min(scaled.departed.size(), kMostDepartures));
  double members = combined - parts.departures;
  const Voices voices = VoicesOf(detector, raw);
  for (size_t a = 0; a < kAspects; ++a) {
    members -= voices.aspects[a];
    parts.aspects[a] = std::max(voices.aspects[a], 0.0);
  }
  parts.members = std::isfinite(combined) ? std::max(members, 0.0) : 1;
  return parts;
}

/// The largest deviations among the pairs share what the pairs explain in proportion to how far they lie out.
void AddPairDrivers(const ClassPairs& pairs, std::span<const double> row, double share, std::vector<Driver>& drivers) {
  const std::vector<PairDeviation> largest = LargestPairs(pairs, row);
  double sum = 0;
  for (const PairDeviation& deviation : largest) sum += std::max(deviation.z, 0.0);
  for (const auto& [pair, z] : largest) {
    if (!(share * z > 0)) continue;
    const size_t feature = pairs.features[pair];
    drivers.push_back({feature, row[feature], pairs.mean[pair], z, share * z / sum});
  }
}

/// What each scaled column accounts for, by all members and by the balance.
std::vector<double> ColumnShares(const FamilyDetector& detector, const ScaledRow& row, double of_members,
                                 double of_balance) {
  std::vector<double> shares = ColumnWeights(detector.members.mahalanobis, row.values);
  for (double& share : shares) share *= of_members;
  if (!detector.balance) return shares;
  std::vector<double> values;
  for (const uint32_t c : detector.balance->columns) values.push_back(row.values[c]);
  const std::vector<double> weights = ColumnWeights(detector.balance->model, values);
  for (size_t i = 0; i < weights.size(); ++i) shares[detector.balance->columns[i]] += of_balance * weights[i];
  return shares;
}

void AddDepartures(const Scaler& scaler, const ScaledRow& scaled, std::span<const double> row, double share,
                   std::vector<Driver>& drivers) {
  for (uint32_t index : scaled.departed) {
    const ConstantColumn& constant = scaler.constants[index];
    const double value = row[constant.feature], z = std::copysign(scaler.clip.value_or(kClip), value - constant.value);
    drivers.push_back(
        {constant.feature, value, constant.value, z, share / static_cast<double>(scaled.departed.size())});
  }
}

std::vector<Driver> FindDrivers(const FamilyDetector& detector, const ScaledRow& scaled, std::span<const double> row,
                                const RawAspects& aspects, double combined) {
  const Scaler& scaler = detector.scaler;
  const Parts parts = PartsOf(detector, scaled, aspects, combined);
  const double total = parts.total();
  const auto share = [total](double part) { return total > 0 ? part / total : 0; };
  std::vector<Driver> drivers;
  if (detector.pairs) AddPairDrivers(*detector.pairs, row, share(parts.aspects[kPairs]), drivers);
  AddDepartures(scaler, scaled, row, share(parts.departures), drivers);
  const std::vector<double> shares =
      ColumnShares(detector, scaled, total > 0 ? share(parts.members) : 1, share(parts.aspects[kBalance]));
  for (size_t c = 0; c < shares.size(); ++c) {
    const Column& column = scaler.columns[c];
    const double value = row[column.feature];
    if (!(shares[c] > 0) || std::isnan(value)) continue;
    drivers.push_back({column.feature, value, column.centre, (value - column.centre) / column.scale, shares[c]});
  }
  const size_t kept = std::min(drivers.size(), kMostDrivers);
  std::partial_sort(
      drivers.begin(), drivers.begin() + static_cast<std::ptrdiff_t>(kept), drivers.end(),
      [](const Driver& a, const Driver& b) { return a.share != b.share ? a.share > b.share : a.feature < b.feature; });
  drivers.resize(kept);
  return drivers;
}

/// "a, b, c and 4 more"
template <class Indices, class FeatureOf>
std::string Names(const SchemaId& schema, const Indices& indices, const FeatureOf& feature_of) {
  std::string names;
  for (size_t i = 0; i < std::min(indices.size(), kMostNames); ++i) {
    absl::StrAppend(&names, i > 0 ? ", " : "", schema.features[feature_of(indices[i])]);
  }
  if (indices.size() > kMostNames) absl::StrAppend(&names, " and ", indices.size() - kMostNames, " more");
  return names;
}

void AddSentence(std::string& remark, const std::string& sentence) {
  if (!remark.empty()) remark += "; ";
  remark += sentence;
}

/// Why no p-value can be given; empty when one can.
std::string WhyUncalibrated(const DetectorState& state, const FamilyDetector& detector, const Score& score,
                            bool mostly_missing) {
  if (IsCalibrated(detector, score.basis, score.combined, mostly_missing)) return "";
  const bool imported = state.origin != "driftseal";
  if (detector.calibration.empty() && imported) return "uncalibrated: imported without calibration rows";
  if (std::isnan(score.combined)) return "uncalibrated: no member's scores vary among the fitted models";
  if (detector.calibration.empty()) return "uncalibrated: no models were kept for calibration";
  if (mostly_missing) return "uncalibrated: more than half of the detector's columns are missing";
  return "uncalibrated: no model of this family was there when the detector was fitted";
}

std::string Remark(const DetectorState& state, const FamilyDetector& detector, const ScaledRow& scaled,
                   const std::string& family, const std::string& uncalibrated) {
  const Scaler& scaler = detector.scaler;
  std::string remark = uncalibrated;
  if (const SmallFamily* small = state.FindSmall(family)) {
    AddSentence(remark, absl::StrCat("scored by the detector over all families: ", small->reason));
  }
  if (!scaled.imputed.empty()) {
    AddSentence(remark, absl::StrCat(scaled.imputed.size(), " of ", scaler.columns.size(),
                                     " columns are missing and were taken to be at the median: ",
                                     Names(state.schema, scaled.imputed,
                                           [&](uint32_t c) { return scaler.columns[c].feature; })));
  }
  if (!scaled.departed.empty()) {
    AddSentence(remark, absl::StrCat("departures from the one value that all ", detector.fitted_on,
                                     " fitted models have: ", Names(state.schema, scaled.departed, [&](uint32_t c) {
                                       return scaler.constants[c].feature;
                                     })));
  }
  return remark;
}

/// The context column that lies farthest beyond its range, relative to the range's width.
template <class Value>
std::optional<RangeNote> OutOfRange(const FamilyDetector& detector, std::span<const Value> row) {
  std::optional<RangeNote> worst;
  double farthest = 0;
  for (const RangeNote& range : detector.ranges) {
    const double value = row[range.feature];
    const double beyond = std::max(range.low - value, value - range.high) / (range.high - range.low);
    if (!(beyond > farthest)) continue;  // Also where the value is NaN.
    farthest = beyond;
    worst = {range.feature, value, range.low, range.high};
  }
  return worst;
}

}  // namespace

template <class Value>
View ViewFor(const DetectorState& state, const std::string& family, std::span<const Value> row) {
  const FamilyDetector* behaviour = state.FindFamily(family, View::kBehaviour);
  if (behaviour == nullptr) return View::kFiles;
  size_t missing = 0;
  for (const Column& column : behaviour->scaler.columns) missing += std::isnan(row[column.feature]);
  if (MostlyMissing(behaviour->scaler, missing)) return View::kFiles;
  return OutOfRange(*behaviour, row) && state.FindFamily(family, View::kStill) != nullptr ? View::kStill
                                                                                          : View::kBehaviour;
}
template View ViewFor(const DetectorState&, const std::string&, std::span<const double>);
template View ViewFor(const DetectorState&, const std::string&, std::span<const float>);

double Combine(const FamilyDetector& detector, const RawScores& raw, const RawAspects& aspects, size_t departures) {
  double sum = 0;
  size_t members = 0;
  for (size_t m = 0; m < raw.size(); ++m) {
    if (!detector.members.Has(m) || !detector.normalisers[m]) continue;
    sum += detector.normalisers[m]->Apply(raw[m]);
    ++members;
  }
  if (members == 0) return std::numeric_limits<double>::quiet_NaN();
  const Voices voices = VoicesOf(detector, aspects);
  double combined = sum / static_cast<double>(members) / voices.count;
  for (const double aspect : voices.aspects) combined += aspect;
  return combined + kDepartureScore * static_cast<double>(std::min(departures, kMostDepartures));
}

bool IsCalibrated(const FamilyDetector& detector, Basis basis, double combined, bool mostly_missing) {
  return !detector.calibration.empty() && !std::isnan(combined) && !mostly_missing && basis != Basis::kUnseenFamily;
}

std::vector<MemberScore> MemberScores(const FamilyDetector& detector, const RawScores& raw, const RawAspects& aspects) {
  std::vector<MemberScore> scores;
  scores.reserve(raw.size() + kAspects);
  for (size_t m = 0; m < raw.size(); ++m) {
    if (!detector.members.Has(m)) continue;
    const auto& normaliser = detector.normalisers[m];
    scores.push_back({std::string(kMemberNames[m]), raw[m],
                      normaliser ? normaliser->Apply(raw[m]) : std::numeric_limits<double>::quiet_NaN()});
  }
  for (size_t a = 0; a < kAspects; ++a) {
    if (!detector.HasAspect(a)) continue;
    const auto& normaliser = detector.AspectNormaliser(a);
    scores.push_back({std::string(kAspectNames[a]), aspects[a],
                      normaliser ? normaliser->Apply(aspects[a]) : std::numeric_limits<double>::quiet_NaN()});
  }
  return scores;
}

absl::StatusOr<std::vector<RawScores>> ScoreAll(const DetectorState& state,
                                                std::span<const FamilyDetector* const> detectors,
                                                std::span<const ScaledRow> rows) {
  std::vector<RawScores> raw(rows.size());
  if (state.backend == nullptr || !state.backend_for_models) {
    for (size_t i = 0; i < rows.size(); ++i) raw[i] = ScoreScaled(detectors[i]->members, rows[i].values);
    return raw;
  }
  // One task a detector, its rows side by side.
  std::map<const FamilyDetector*, std::vector<size_t>> rows_of;
  for (size_t i = 0; i < rows.size(); ++i) rows_of[detectors[i]].push_back(i);
  std::vector<std::vector<double>> values;
  std::vector<std::vector<RawScores>> scores;
  std::vector<Task> tasks;
  for (const auto& [detector, indices] : rows_of) {
    const size_t cols = detector->scaler.columns.size();
    std::vector<double>& own = values.emplace_back();
    own.reserve(indices.size() * cols);
    for (size_t i : indices) own.insert(own.end(), rows[i].values.begin(), rows[i].values.end());
    scores.emplace_back(indices.size());
    tasks.push_back({detector->prepared.get(), {own.data(), indices.size(), cols}, {}});
  }
  for (size_t t = 0; t < tasks.size(); ++t) tasks[t].out = scores[t];
  if (absl::Status status = state.backend->Score(tasks); !status.ok()) return status;
  size_t task = 0;
  for (const auto& [detector, indices] : rows_of) {
    for (size_t k = 0; k < indices.size(); ++k) raw[indices[k]] = scores[task][k];
    ++task;
  }
  return raw;
}

Score Explain(const DetectorState& state, const FamilyDetector& detector, Basis basis, std::span<const double> row,
              const std::string& family, const ScaledRow& scaled, const RawScores& raw) {
  Score score;
  score.basis = basis;
  score.view = detector.view;
  score.out_of_range = OutOfRange(detector, row);
  score.family = detector.key;
  const RawAspects aspects = AspectsOf(detector, row);
  score.members = MemberScores(detector, raw, aspects);
  score.combined = Combine(detector, raw, aspects, scaled.departed.size());
  score.fitted_on = detector.fitted_on;
  score.calibrated_on = detector.calibration.size();
  if (!detector.calibration.empty()) score.calibration_largest = detector.calibration.back();
  const std::string uncalibrated = WhyUncalibrated(state, detector, score, MostlyMissing(detector.scaler, scaled));
  if (uncalibrated.empty()) score.p_value = ConformalP(detector.calibration, score.combined);
  score.drivers = FindDrivers(detector, scaled, row, aspects, score.combined);
  score.remark = Remark(state, detector, scaled, family, uncalibrated);
  return score;
}

}  // namespace driftseal::detector
