#ifndef DRIFTSEAL_ENGINE_SCREEN_VIEWS_H_
#define DRIFTSEAL_ENGINE_SCREEN_VIEWS_H_

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/canary/set_files.h"
#include "engine/detector/detector.h"

// What a detector says about the view that it takes of models: their behaviour on canary inputs, or their files alone.
namespace driftseal::screen {

/// The canary sets a detector was fitted with; none: it reads files alone.
template <class Detector>
std::vector<canary::SetId> CanarySetsOf(const Detector& detector) {
  std::vector<canary::SetId> ids;
  if constexpr (requires { detector.canary_sets(); }) {
    for (const auto& set : detector.canary_sets()) ids.push_back({set.name, set.sha256});
  }
  return ids;
}

/// Whether models of `family` are judged by their behaviour.
template <class Detector>
bool ReadsBehaviour(const Detector& detector, const std::string& family) {
  if constexpr (requires { detector.ReadsBehaviour(family); }) {
    return detector.ReadsBehaviour(family);
  } else {
    return !CanarySetsOf(detector).empty();
  }
}

/// Tells a fit which sets its models were run on.
template <class Options>
void SetCanarySets(const std::vector<canary::SetId>& ids, Options& options) {
  if constexpr (requires { options.canary_sets; }) {
    for (const canary::SetId& id : ids) options.canary_sets.push_back({id.name, id.sha256});
  }
}

/// "behaviour" or "files".
template <class Score>
std::string ViewOf(const Score& score) {
  if constexpr (requires { score.view; }) {
    return score.view.empty() ? "files" : score.view;
  } else {
    return "files";
  }
}

/// The column by which a row leaves the range that was calibrated.
struct OutOfRange {
  std::string feature;
  double value = 0, low = 0, high = 0;
};
template <class Score>
std::optional<OutOfRange> OutOfRangeOf(const Score& score) {
  if constexpr (requires { score.out_of_range->feature; }) {
    if (score.out_of_range) {
      const auto& note = *score.out_of_range;
      return OutOfRange{note.feature, note.value, note.low, note.high};
    }
  }
  return std::nullopt;
}

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_VIEWS_H_
