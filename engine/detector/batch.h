#ifndef DRIFTSEAL_ENGINE_DETECTOR_BATCH_H_
#define DRIFTSEAL_ENGINE_DETECTOR_BATCH_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/detector/detector.h"
#include "kernels/rows.h"

// Scores rows in bulk without a word about each: for the engine, where rows come by the million. Detector::ScoreRows
// explains each row; this does so where asked.
namespace driftseal::detector {

struct FamilyDetector;

enum class Detail {
  kScores,   ///< Combined score and p-value.
  kMembers,  ///< Also the members' raw scores.
  kDrivers,  ///< Also what drove each score, as Detector::ScoreRow has it.
};

/// What the rows of one item came to, in their order; vectors that were not asked for stay empty. Reusing an object
/// reuses its memory.
struct BatchScores {
  std::vector<double> combined;  ///< NaN where no member has a scale.
  std::vector<double> p_value;   ///< NaN where the row is uncalibrated.
  std::vector<double> members;   ///< rows × MembersOf(item).size(), row by row.
  std::vector<std::vector<Driver>> drivers;
  std::vector<std::string> remarks;
};

/// Rows of one family, for one detector. "" is the only family there is, otherwise none that was seen when the detector
/// was fitted.
struct BatchItem {
  const Detector* detector = nullptr;
  std::string family;
  kernels::RowsView<float> rows;  ///< Not copied; cols = detector->schema().features.size().
  Detail detail = Detail::kScores;
  BatchScores scores;

  // Set by Prepare: what `family` stands for.
  const FamilyDetector* chosen = nullptr;
  Basis basis = Basis::kFamily;
};

/// Some rows of an item: [first, first + count).
struct BatchPart {
  BatchItem* item = nullptr;
  size_t first = 0, count = 0;
};

/// InvalidArgument naming the row (from 1) and the column, for a wrong number of columns or an infinite value.
absl::Status CheckRows(const Detector& detector, kernels::RowsView<float> rows);

/// Finds the detector of the item's family and makes room for its scores. NotFound where there is neither one for the
/// family nor a global one.
absl::Status Prepare(BatchItem& item);
/// Names of the members that score the rows of a prepared item, in the order of BatchScores::members.
std::vector<std::string> MembersOf(const BatchItem& item);

/// About how many times as long as a plain row of a detector in float32 kernels one row of this item takes. To within a
/// factor of a few: for whoever bounds how long a batch takes.
size_t RowCost(const BatchItem& item);

/// Scores parts of items. Keeps its memory for the next call; used by one thread at a time.
class BatchScorer {
 public:
  BatchScorer();
  ~BatchScorer();
  BatchScorer(BatchScorer&&) noexcept;

  /// Items that Prepare took and whose rows passed CheckRows; all parts together, those of detectors with the same
  /// backend in one call of it. The scores are those of Detector::ScoreRows for the same rows and backend. Errors are
  /// the backend's (Internal); the scores are then undefined. `spread`: over all cores; otherwise on this thread.
  absl::Status Score(std::span<const BatchPart> parts, bool spread = true);

 private:
  struct Space;
  std::unique_ptr<Space> space_;
};

/// Prepares and scores whole items, whose rows passed CheckRows.
absl::Status ScoreBatch(std::span<BatchItem* const> items);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_BATCH_H_
