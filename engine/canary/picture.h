#ifndef DRIFTSEAL_ENGINE_CANARY_PICTURE_H_
#define DRIFTSEAL_ENGINE_CANARY_PICTURE_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/replay/protocol/behaviour.h"

// What a trigger does to an input, for a person's eyes.
namespace driftseal::canary {

/// A PNG of three panels side by side: the clean input, the triggered one, and their difference amplified to the full
/// range around mid-grey (grey: no change). Grey, or RGB for images of three channels; others are averaged over their
/// channels. Small images are enlarged to about 112 pixels a panel by repeating pixels, large ones reduced by leaving
/// some out. InvalidArgument when the set holds no images or the picture is none of its inputs.
absl::StatusOr<std::string> PicturePng(const replay::RawBehaviour::Picture& picture, const replay::CanarySet& set);

/// "data:image/png;base64,…", for a page.
std::string PngDataUri(std::string_view png);

/// For tables: the columns that the trigger changes, largest change first (relative to the column's own range over the
/// set), at most `limit`.
struct ColumnChange {
  size_t column = 0;
  float clean = 0, triggered = 0;
  double share = 0;  ///< |triggered − clean| / range of the column; infinite where it has none.
};
std::vector<ColumnChange> ChangedColumns(const replay::RawBehaviour::Picture& picture, const replay::CanarySet& set,
                                         size_t limit = 16);

}  // namespace driftseal::canary

#endif  // DRIFTSEAL_ENGINE_CANARY_PICTURE_H_
