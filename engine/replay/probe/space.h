#ifndef DRIFTSEAL_ENGINE_REPLAY_PROBE_SPACE_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROBE_SPACE_H_

#include <array>
#include <cstddef>
#include <vector>

#include "engine/replay/protocol/behaviour.h"

namespace driftseal::replay {

/// Where the inputs of a canary set live. An image has one range for all elements, a table's columns their own.
struct Space {
  bool image = false;
  size_t channels = 1, height = 1, width = 1;  ///< Of an image; a table is 1 × 1 × columns.
  size_t elements = 0;                         ///< Of one input.
  std::vector<float> low, high;                ///< What a search may set: an image's limits, a column's extremes.
  std::vector<float> range;                    ///< The unit of perturbations: high − low, or a column's 98 % range.

  /// Quantiles of a table's columns, columns × kQuantiles; empty for images.
  static constexpr std::array<double, 5> kQuantiles = {0.01, 0.1, 0.5, 0.9, 0.99};
  std::vector<float> quantiles;
  float Quantile(size_t column, size_t q) const { return quantiles[column * kQuantiles.size() + q]; }
};

/// Values worth trying for one element without gradients: a column's quantiles; low, middle and high of an image.
std::vector<float> Candidates(const Space& space, size_t element);

/// Of a checked set.
Space SpaceOf(const CanarySet& set);

/// `count` inputs of the set (all when it has fewer), spread evenly over its labels: every prefix is as balanced as it
/// can be.
std::vector<size_t> BalancedInputs(const CanarySet& set, size_t count);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROBE_SPACE_H_
