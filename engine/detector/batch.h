#ifndef DRIFTSEAL_ENGINE_DETECTOR_BATCH_H_
#define DRIFTSEAL_ENGINE_DETECTOR_BATCH_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/detector/detector.h"
#include "kernels/rows.h"

// Scores rows in bulk without a word about each: for the engine, where rows come by the million. Detector::ScoreRows
// explains each row; this does so where asked.
namespace driftseal::detector {

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
  std::vector<double> members;   ///< rows × members_of(detector, family).size(), row by row.
  std::vector<std::vector<Driver>> drivers;
  std::vector<std::string> remarks;
};

/// Rows of one family (or ""), for one detector.
struct BatchItem {
  const Detector* detector = nullptr;
  std::string family;
  kernels::RowsView<float> rows;  ///< Not copied; cols = detector->schema().features.size().
  Detail detail = Detail::kScores;
  BatchScores scores;
};

/// Names of the members that score rows of this family, in the order of BatchScores::members.
std::vector<std::string> MembersOf(const Detector& detector, const std::string& family);

/// InvalidArgument naming the row (from 1) and the column, for a wrong number of columns or an infinite value.
absl::Status CheckRows(const Detector& detector, kernels::RowsView<float> rows);

/// Scores rows that passed CheckRows: all items together, those of one detector in one call of its backend. The scores are
/// those of Detector::ScoreRows for the same rows.
absl::Status ScoreBatch(std::span<BatchItem* const> items);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_BATCH_H_
