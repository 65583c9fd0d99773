#ifndef DRIFTSEAL_ENGINE_SCREEN_MATERIALIZE_H_
#define DRIFTSEAL_ENGINE_SCREEN_MATERIALIZE_H_

#include <string>
#include <vector>

#include "engine/artifact/source.h"
#include "engine/canary/materialize.h"
#include "engine/canary/replay_pool.h"
#include "engine/screen/subject.h"
#include "nlohmann/json.hpp"

// Canaries of models that have a meta file.
namespace driftseal::screen {

/// What became of one model.
struct CanaryChange {
  std::string path;                         ///< The meta file.
  std::string outcome;                      ///< "written", "kept" (there is one already), "skipped" or "error".
  std::string detail;                       ///< Why, or what was found.
  std::string canary_path, behaviour_hash;  ///< When written: beneath the root; hexadecimal.
  /// When written: how many inputs there are of each kind, by canary::KindName.
  std::vector<std::pair<std::string, size_t>> inputs;
};
/// "file" of docs/schemas/canary.schema.json.
nlohmann::ordered_json ToJson(const CanaryChange& change);

struct CanaryOptions {
  bool only_eligible = false;
  bool overwrite = false;  ///< Also replace canaries that are there.
  /// Sets that references come from; the first of the model's domain, task and input shape is taken.
  std::vector<replay::CanarySet> sets;
  /// For models that no set fits: what inputs are, where the meta file's `inputs` does not say so. Empty: not known.
  std::vector<uint32_t> shape, image;
  canary::MaterializeOptions materialize;
};

/// Runs the model of the meta file `subject` in `pool` and writes its canaries beside that file as
/// `<stem>.canary.safetensors`, then records them in it (docs/formats/canary.md). A model file that is not the recorded
/// one is an error: its answers would be recorded as the model's. Both files are replaced as wholes and stay beneath
/// the root.
CanaryChange MaterializeCanary(const Subject& subject, const artifact::Root& root, canary::ReplayPool& pool,
                               const CanaryOptions& options);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_MATERIALIZE_H_
