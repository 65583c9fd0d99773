#ifndef DRIFTSEAL_ENGINE_DETECTOR_STATE_H_
#define DRIFTSEAL_ENGINE_DETECTOR_STATE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/detector/balance.h"
#include "engine/detector/calibration.h"
#include "engine/detector/detector.h"
#include "engine/detector/kernel_backend.h"
#include "engine/detector/pairs.h"
#include "engine/detector/scaling.h"
#include "kernels/ensemble/ensemble.h"

// What a Detector is made of; docs/formats/detector.md is the same on disk.
namespace driftseal::detector {

/// Names of the members in the order of kernels::ensemble::Member.
inline constexpr std::array<std::string_view, kernels::ensemble::kMembers> kMemberNames = {"autoencoder", "forest",
                                                                                           "svm", "mahalanobis", "knn"};
/// Members that read columns of their own, which no kernel scores (pairs.h, balance.h). Each counts as much in the
/// combined score as all others together.
enum Aspect : size_t { kPairs, kBalance, kAspects };
inline constexpr std::array<std::string_view, kAspects> kAspectNames = {"pairs", "balance"};

/// The members that a detector has.
struct MemberSet {
  std::optional<kernels::autoencoder::Network> autoencoder;
  std::optional<kernels::forest::Forest> forest;
  std::optional<kernels::svm::Svm> svm;
  std::optional<kernels::mahalanobis::Mahalanobis> mahalanobis;
  std::optional<kernels::neighbours::Neighbours> neighbours;

  kernels::ensemble::Members View() const;
  bool Has(size_t member) const;
};

/// Fitted on one family, or on all of them.
struct FamilyDetector {
  std::string key;  ///< kGlobalKey for the one that was fitted on all.
  View view = View::kFiles;
  size_t fitted_on = 0;
  Scaler scaler;
  MemberSet members;
  std::array<std::optional<Normaliser>, kernels::ensemble::kMembers> normalisers;
  std::optional<ClassPairs> pairs;           ///< Of kBehaviour alone.
  std::optional<Balance> balance;            ///< Of kBehaviour alone.
  std::vector<RangeNote> ranges;             ///< Not of kFiles: the context columns' ranges (value unused).
  std::vector<double> calibration;           ///< Combined scores of the calibration rows, ascending.
  std::unique_ptr<const Prepared> prepared;  ///< By the detector's backend; null without one.

  bool HasAspect(size_t aspect) const { return aspect == kPairs ? pairs.has_value() : balance.has_value(); }
  /// Of an aspect that is there.
  const std::optional<Normaliser>& AspectNormaliser(size_t aspect) const {
    return aspect == kPairs ? pairs->normaliser : balance->normaliser;
  }
};

/// A family that had models when the detector was fitted, but no detector of its own.
struct SmallFamily {
  std::string key;
  size_t models = 0;
  std::string reason;
};

struct DetectorState {
  std::string name;
  int version = 0;
  SchemaId schema;
  std::string origin;  ///< Who made it: "driftseal", or what it was imported from.
  uint64_t seed = 0;   ///< Of the fit; 0 for an import.
  std::vector<CanarySetId> canary_sets;
  std::vector<FamilyDetector> families;  ///< Ascending by key, then view.
  std::vector<SmallFamily> small;        ///< Ascending by key.
  std::optional<FamilyDetector> global;

  std::shared_ptr<const Backend> backend;  ///< Scores; without one, ScoreScaled does.
  bool backend_for_models = true;          ///< False: ScoreBatch alone asks the backend.

  const FamilyDetector* FindFamily(const std::string& key, View view = View::kFiles) const;
  const SmallFamily* FindSmall(const std::string& key) const;
};

const DetectorState& StateOf(const Detector& detector);

absl::StatusOr<DetectorState> FitState(const SchemaId& schema, std::vector<Sample> samples, const FitOptions& options);
absl::StatusOr<DetectorState> LoadState(const std::string& directory);
absl::Status SaveState(const DetectorState& state, const std::string& directory);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_STATE_H_
