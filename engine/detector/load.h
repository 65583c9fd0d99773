#ifndef DRIFTSEAL_ENGINE_DETECTOR_LOAD_H_
#define DRIFTSEAL_ENGINE_DETECTOR_LOAD_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "engine/artifact/source.h"
#include "engine/detector/state.h"

namespace driftseal::detector {

/// Everything but the head (format, version, digest of the arrays), which LoadState checks before. `file` names the
/// JSON in errors. What comes back is safe to score with, whatever the two held.
absl::StatusOr<DetectorState> ReadState(const std::string& file, const nlohmann::json& root,
                                        const artifact::Source& arrays);

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_LOAD_H_
