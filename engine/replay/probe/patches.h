#ifndef DRIFTSEAL_ENGINE_REPLAY_PROBE_PATCHES_H_
#define DRIFTSEAL_ENGINE_REPLAY_PROBE_PATCHES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/replay/probe/search.h"

namespace driftseal::replay {

/// One square patch for each class of an image model.
struct Patches {
  size_t size = 0;
  std::vector<uint32_t> place;  ///< C × 2: top, left
  std::vector<float> values;    ///< C × channels × size × size
  void Paint(const Space& space, size_t c, std::span<float> image) const;
};

/// A seventh of the shorter side, at least 2 (or the whole image).
size_t PatchSize(const Space& space);

/// Measures the patches and fills what a behaviour says of them.
absl::Status TellPatches(Search& search, std::shared_ptr<const Patches> patches, RawBehaviour& behaviour, Found& found);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_ENGINE_REPLAY_PROBE_PATCHES_H_
