#ifndef DRIFTSEAL_ENGINE_SCREEN_RECORDED_CANARY_H_
#define DRIFTSEAL_ENGINE_SCREEN_RECORDED_CANARY_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"
#include "engine/canary/expected.h"
#include "engine/canary/prober.h"
#include "engine/fingerprint/meta.h"
#include "engine/screen/verdict.h"

// Whether a model still answers as it did when its canary was made (materialize_canary).
namespace driftseal::screen {

struct RecordedCanary {
  std::string path;     ///< As the meta file names it.
  absl::Status status;  ///< Why nothing was compared. DataLoss: the canary file is not the recorded one.
  canary::Comparison comparison;
};

/// Runs the model on the canary that its meta file records; nothing where it records none. `directory`: of the meta
/// file, beneath the root.
std::optional<RecordedCanary> CheckRecordedCanary(const fingerprint::ModelMeta& meta, const std::string& directory,
                                                  const artifact::Root& root, artifact::Format format,
                                                  const canary::Prober& prober);

/// "behaviour-match" or "behaviour-changed".
Signal RecordedCanarySignal(const RecordedCanary& recorded);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_RECORDED_CANARY_H_
