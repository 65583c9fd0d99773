#ifndef DRIFTSEAL_ENGINE_DETECTOR_PAIRS_H_
#define DRIFTSEAL_ENGINE_DETECTOR_PAIRS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/detector/calibration.h"
#include "engine/detector/detector.h"

// The member "pairs": what triggers do to one class, pair of classes by pair of classes. A backdoor moves few pairs,
// and far; a distance over all columns loses them among the others, so only the largest deviations count.
namespace driftseal::detector {

struct ClassPairs {
  std::vector<uint32_t> features;    ///< Columns of the schema.
  std::vector<double> mean, spread;  ///< One each, of the fitting rows; spread > 0.
  std::optional<Normaliser> normaliser;
};

/// On the columns of ColumnUse::kPair that more than half of the rows have and that vary; nothing without such columns.
/// The spread is √(variance + 0.03²): a pair that hardly ever moves must move by some inputs, not by one, to count.
std::optional<ClassPairs> FitPairs(const std::vector<Sample>& samples, std::span<const size_t> rows,
                                   const std::vector<ColumnUse>& uses);

/// A pair's deviation from the family's: (value − mean) / spread.
struct PairDeviation {
  size_t pair = 0;  ///< Index into features.
  double z = 0;
};
/// The largest deviations, at most kPairsCounted, largest first; missing columns have none. `row` is float or double.
inline constexpr size_t kPairsCounted = 3;
template <class Value>
std::vector<PairDeviation> LargestPairs(const ClassPairs& pairs, std::span<const Value> row);
/// The mean of these; NaN where all columns are missing.
template <class Value>
double PairScore(const ClassPairs& pairs, std::span<const Value> row);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_PAIRS_H_
