#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_TREE_FEATURES_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_TREE_FEATURES_H_

#include "absl/status/status.h"
#include "engine/artifact/model_file.h"
#include "engine/fingerprint/row.h"

namespace driftseal::fingerprint {

/// Fills the group trees. InvalidArgument, and the group missing, when a tree is not a tree, splits on a feature the
/// booster does not have, or holds a number that is not finite.
absl::Status FillTreeFeatures(const artifact::Booster& booster, Row& row);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_TREE_FEATURES_H_
