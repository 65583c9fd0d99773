#ifndef DRIFTSEAL_TESTS_ENGINE_REPLAY_FILES_H_
#define DRIFTSEAL_TESTS_ENGINE_REPLAY_FILES_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/replay/protocol/behaviour.h"

namespace driftseal::replay {

/// Three images of 1 × 3 × 4 and four classes.
CanarySet SmallSet();

/// The safetensors file with its header changed; the data stay as they are.
std::string EditFile(const std::string& file, const std::function<void(nlohmann::json&)>& edit);
/// Changes the JSON that is a text of the header's metadata.
void EditText(nlohmann::json& header, const std::string& name, const std::function<void(nlohmann::json&)>& edit);

}  // namespace driftseal::replay

#endif  // DRIFTSEAL_TESTS_ENGINE_REPLAY_FILES_H_
