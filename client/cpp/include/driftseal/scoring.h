#ifndef DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_SCORING_H_
#define DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_SCORING_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "driftseal/status.h"

// What the engine is asked and what it answers: the messages of driftseal.v1 (proto/driftseal/v1) as plain structs.
namespace driftseal {

/// A matrix of float32, row by row, that lies elsewhere. NaN is a missing value; infinite values are refused.
struct RowsView {
  RowsView() = default;
  /// `count` values: a whole number of rows.
  RowsView(const float* values, size_t count, size_t columns) : data(values), size(count), cols(columns) {}
  /// Of anything contiguous: std::vector<float>, std::array, std::span.
  template <typename Values, typename = std::enable_if_t<
                                 std::is_convertible_v<decltype(std::declval<const Values&>().data()), const float*>>>
  RowsView(const Values& values, size_t columns) : RowsView(values.data(), values.size(), columns) {}
  size_t rows() const { return cols == 0 ? 0 : size / cols; }

  const float* data = nullptr;
  size_t size = 0, cols = 0;
};

enum class Detail {
  kScores,   ///< Combined score and p-value.
  kMembers,  ///< Also each member's raw score.
  kDrivers,  ///< Also which columns drove the score, and remarks. The slow way.
};
/// Who goes first where requests wait. Lower ones are slowed down and not starved.
enum class Priority { kLow, kNormal, kHigh };

struct ScoreRequest {
  std::string detector;  ///< "name", "name@version", or empty: the engine's default.
  std::string family;    ///< As a detector lists them; empty: the only one, or the global one. Not with fingerprints.
  RowsView rows;         ///< Of the detector's columns. Either these or fingerprints.
  std::vector<std::string> fingerprints;  ///< Meta files or model files beneath the engine's artifact root.
  Detail detail = Detail::kScores;
  Priority priority = Priority::kNormal;
  bool no_replay = false;  ///< With fingerprints: read the models' files and run none of them.
};

/// One column's part in a score.
struct Driver {
  std::string feature;
  double value = 0, median = 0, robust_z = 0, share = 0;
};
struct RowDetail {
  std::vector<Driver> drivers;  ///< At most 5, the largest share first.
  std::string remark;           ///< Why there is no p-value, or which columns were missing.
};

/// In the order of the rows or fingerprints.
struct ScoreResult {
  std::string detector;               ///< "name@version" that scored.
  std::vector<double> combined;       ///< Higher is more anomalous; NaN where no member has a scale.
  std::vector<double> p_value;        ///< NaN where uncalibrated.
  std::vector<std::string> members;   ///< From Detail::kMembers on.
  std::vector<double> member_scores;  ///< rows × members, row by row.
  std::vector<RowDetail> details;     ///< With Detail::kDrivers.
};

struct VerifyRequest {
  std::string path;      ///< A meta file (*.meta.json) or a model file beneath the engine's artifact root.
  std::string detector;  ///< As in ScoreRequest.
  std::optional<double> alpha, quarantine_alpha;  ///< Levels of the verdict; absent: the engine's.
  bool score_only = false;                        ///< The detector's word alone: no integrity, no predictions.
  bool want_report_entry = false;
  bool only_eligible = false;  ///< Skip a meta file whose promotion.eligible is not true.
  Priority priority = Priority::kNormal;
  bool no_replay = false;  ///< Read the model's files and do not run it.
};

enum class Outcome { kUnknown, kPass, kReview, kQuarantine, kInconclusive, kError, kSkipped };
const char* OutcomeName(Outcome outcome);  ///< "pass", ... as in reports.
enum class Severity { kUnspecified, kInfo, kUnknown, kConcern, kCritical };

/// One reason for a verdict.
struct Signal {
  std::string kind;  ///< "digest-mismatch", "score", ...
  Severity severity = Severity::kUnspecified;
  std::string text;           ///< One sentence for a person.
  std::string evidence_json;  ///< The same for a program: a JSON object.
};
struct MemberScore {
  std::string member;
  double raw = 0;
  std::optional<double> normalised;
};
/// The column by which a model leaves the range that was calibrated.
struct OutOfRange {
  std::string feature;
  double value = 0, low = 0, high = 0;
};
struct ModelScore {
  double combined = 0;
  std::optional<double> p_value;
  std::string basis;  ///< "family", "global", "unseen-family"
  std::vector<MemberScore> members;
  uint64_t fitted_on = 0, calibrated_on = 0;
  std::string remark;
  std::string view;  ///< "behaviour" (on canary inputs), "still" (of that, what holds still) or "files" (alone).
  std::optional<OutOfRange> out_of_range;
};
struct FileEvidence {
  std::string role, path, recorded_sha256, actual_sha256, error;
};
struct Verdict {
  std::string path, model_name, family;
  Outcome outcome = Outcome::kUnknown;
  std::vector<Signal> signals;  ///< Worst first.
  std::optional<ModelScore> score;
  std::vector<FileEvidence> files;
  std::string format, detector;
  std::string error;         ///< Of Outcome::kError.
  std::string report_entry;  ///< JSON, where asked for.
};
/// What a verification begins to do.
enum class Stage { kUnspecified, kQueued, kReading, kScoring };

struct Artifact {
  std::string path;
  bool bare = false;    ///< A model file that no meta file names.
  std::string problem;  ///< A folder that cannot be searched, and why.
};

/// The answer to one request of a ScoreStream.
struct ScoreAnswer {
  uint64_t id = 0;
  Status status;       ///< Why there is no result.
  ScoreResult result;  ///< Where status.ok().
};
/// The answer to one request of a VerifyStream.
struct VerifyAnswer {
  std::string id;
  Status status;  ///< A malformed request; what is wrong with an artifact is a verdict.
  Verdict verdict;
  bool stored_before = false;  ///< It was not computed again.
};

}  // namespace driftseal

#endif  // DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_SCORING_H_
