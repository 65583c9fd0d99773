#ifndef DRIFTSEAL_ENGINE_DETECTOR_DETECTOR_H_
#define DRIFTSEAL_ENGINE_DETECTOR_DETECTOR_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/detector/backend.h"

namespace driftseal::detector {

struct DetectorState;

/// Key of the detector behind the families' own, which was fitted on all models (no family has this key).
inline constexpr char kGlobalKey[] = "*";

/// Which rows a detector reads: the schema's name and version, its digest and the names of its columns.
struct SchemaId {
  std::string name;
  int version = 0;
  std::string digest;
  std::vector<std::string> features;
};

/// One member's word about one row; higher is more anomalous.
struct MemberScore {
  std::string member;  ///< "autoencoder", "forest", "svm", "mahalanobis", "knn", "pairs", "balance"
  double raw = 0;      ///< In the member's own unit (see docs/formats/detector.md).
  /// u = (raw − median) / (q90 − median), both out of fold on the fitting rows; NaN where the detector has no such
  /// scale for the member (imported without one, or its scores did not vary), which then has no part in the combined
  /// score.
  double normalised = 0;
};

/// A column that drove the score, and how far it lies from what the family shows.
struct Driver {
  size_t feature = 0;  ///< Column of the schema.
  double value = 0;    ///< As in the row.
  double median = 0;   ///< Of the family's fitting rows; of a pair of classes their mean.
  /// (value − median) / (1.4826·MAD), signed; ± the clip bound where all models had one value. Of a pair of classes the
  /// deviation of pairs.h.
  double robust_z = 0;
  double share = 0;  ///< Of the score that this column explains, 0..1.
};

/// What a column of the schema is for.
enum class ColumnUse {
  kFiles,      ///< Read from files.
  kStill,      ///< What the model does when it is run, as far as that holds still when the recipe changes.
  kBehaviour,  ///< What it does when it is run, and moves with the recipe.
  kContext,    ///< Where the model stands in its recipe: no member reads it; tells what is out of range.
  kBalance,    ///< As kBehaviour; the member "balance" reads it by itself, too.
  kPair,       ///< What triggers do to one class: the member "pairs" alone reads it, unscaled.
};

/// The columns that a score rests on.
enum class View {
  kFiles,      ///< Those of kFiles.
  kBehaviour,  ///< kStill, kBehaviour, kBalance and kPair, where behaviour was measured.
  kStill,      ///< kStill alone, where the model stands outside of what the family's recipes show.
};
std::string_view ViewName(View view);  ///< "files", "behaviour", "still"

/// A context column beyond what the family's models show.
struct RangeNote {
  size_t feature = 0;  ///< Column of the schema.
  double value = 0, low = 0, high = 0;
};

/// A canary set that behaviour columns were measured on.
struct CanarySetId {
  std::string name, sha256;  ///< Of the file (EncodeCanarySet), in hex.
};

enum class Basis {
  kFamily,        ///< A detector fitted on this family.
  kGlobal,        ///< Too few models of this family were there to fit: the global detector, which did see the family.
  kUnseenFamily,  ///< The global detector, and nothing of this family was there when it was fitted.
};

struct Score {
  Basis basis = Basis::kFamily;
  View view = View::kFiles;
  /// The context column that lies farthest beyond the family's range, which is why the view is kStill.
  std::optional<RangeNote> out_of_range;
  std::string family;  ///< Key of the family whose calibration was used; kGlobalKey for the global one.
  std::vector<MemberScore> members;
  /// S = mean of the members' u (where there are "pairs" or "balance": the mean of these and of the others' mean), plus
  /// 3 for every column (up to 5) that departs from the one value that all fitting rows had. NaN when no member has a
  /// u.
  double combined = 0;
  /// Conformal p-value (1 + #{i : S_i >= S}) / (n + 1) over the calibration models; absent when uncalibrated
  /// (no calibration rows, a family that was not seen, or more than half of the columns missing: `remark` says which).
  /// It is never below 1/(calibrated_on + 1).
  std::optional<double> p_value;
  /// The largest combined score of a calibration model; absent without any.
  std::optional<double> calibration_largest;
  size_t fitted_on = 0, calibrated_on = 0;
  std::vector<Driver> drivers;  ///< At most 5, largest share first.
  std::string remark;           ///< Why there is no p-value, or which columns were imputed; empty otherwise.
};

struct Guarantee {
  double alpha = 0, delta = 0;
  std::optional<double> threshold;  ///< On `combined`; absent when n is smaller than `needed`.
  size_t needed = 0, available = 0;
};

/// How far a fit is; written by the fit, read by any thread.
struct FitProgress {
  std::atomic<uint64_t> done{0};   ///< Fits of one fold of one family, and trainings of one autoencoder.
  std::atomic<uint64_t> total{0};  ///< 0 until it is known.
};

struct FitOptions {
  std::string name = "driftseal";
  int version = 1;
  uint64_t seed = 1;
  /// Of each family's models that calibrate instead of fitting; 19 at least where 8 remain to fit on; 0: none.
  double calibration_share = 0.5;
  size_t family_minimum = 20;  ///< Families with fewer models are scored by the global detector; at least 8.
  std::string replay_program;  ///< driftseal-replay, which trains the autoencoders.
  unsigned threads = 0;        ///< 0: all cores. Does not change the result.
  /// The members to fit. Without the autoencoder no replay program is needed.
  std::vector<std::string> members = {"autoencoder", "forest", "svm", "mahalanobis", "knn", "pairs", "balance"};
  std::vector<ColumnUse> uses;           ///< One a column of the schema; empty: all kFiles.
  std::vector<CanarySetId> canary_sets;  ///< What behaviour columns were measured on; kept with the detector.
  /// Ends the fit with Cancelled: a running replay program is killed, fits of a fold that began are finished first.
  std::stop_token stop;
  FitProgress* progress = nullptr;  ///< May be null.
};

/// One row to fit on.
struct Sample {
  std::string id;      ///< Unique; for messages, and it decides whether the row fits or calibrates.
  std::string family;  ///< Family key.
  std::vector<double> values;
};

/// One row to score.
struct Row {
  std::span<const double> values;
  std::string family;
};

/// Fitted and calibrated, immutable, safe to share between threads.
class Detector {
 public:
  /// InvalidArgument / FailedPrecondition saying how many models are needed and how many there are, which column is not
  /// finite, ...
  static absl::StatusOr<Detector> Fit(const SchemaId& schema, std::vector<Sample> samples, const FitOptions& options);
  /// From a folder with detector_state.json and detector.safetensors. Every error names the file and the field.
  static absl::StatusOr<Detector> Load(const std::string& directory);
  /// Both files, each written beside and renamed. The same samples, options and seed give the same bytes.
  absl::Status Save(const std::string& directory) const;

  Detector(Detector&&) noexcept;
  Detector& operator=(Detector&&) noexcept;
  ~Detector();

  const std::string& name() const;
  int version() const;
  const SchemaId& schema() const;
  /// What a user wants to see of each family: key, models fitted and calibrated on, features used.
  struct FamilySummary {
    std::string key;
    View view = View::kFiles;
    size_t fitted_on = 0, calibrated_on = 0, features_used = 0;
    bool own_detector = false;
  };
  std::vector<FamilySummary> families() const;

  /// From now on `backend` scores; without one, double precision and plain loops do, which gives the same digits on
  /// every machine. FailedPrecondition naming the family whose members the backend cannot take; the detector is then as
  /// before. With Bulk::kOnly the backend serves ScoreBatch (batch.h) alone: models' own rows, of which verdicts are
  /// made, stay in double precision.
  enum class Bulk { kAndModels, kOnly };
  absl::Status Use(std::shared_ptr<const Backend> backend, Bulk bulk = Bulk::kAndModels);
  /// Who made it: "driftseal", or what it was imported from.
  const std::string& origin() const;
  /// The sets that rows with behaviour columns must have been measured on; empty: it reads files alone.
  const std::vector<CanarySetId>& canary_sets() const;
  /// Whether models of this family are judged by their behaviour when it is there.
  bool ReadsBehaviour(const std::string& family) const;

  /// FailedPrecondition naming both when the rows' schema is not this detector's.
  absl::Status CheckSchema(const SchemaId& rows) const;
  /// One row of schema().features.size() columns (NaN: missing). InvalidArgument for another number of columns or an
  /// infinite value, naming the column.
  absl::StatusOr<Score> ScoreRow(std::span<const double> row, const std::string& family) const;
  /// Rows of any families, in one call of the backend, sorted by detector: much faster than one by one. Errors as
  /// ScoreRow's; of several rows they begin with "row N: ", N from 1.
  absl::StatusOr<std::vector<Score>> ScoreRows(std::span<const Row> rows) const;
  /// Each member's word alone, normalised only where the detector can (NaN otherwise).
  absl::StatusOr<std::vector<MemberScore>> ScoreMembers(std::span<const double> row, const std::string& family) const;
  /// With confidence 1−delta at most alpha of clean models score above the threshold (detection.md; order statistics).
  Guarantee GuaranteeFor(const std::string& family, double alpha, double delta, View view = View::kFiles) const;

 private:
  friend const DetectorState& StateOf(const Detector& detector);  // For this folder (state.h).
  struct State;
  explicit Detector(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_DETECTOR_H_
