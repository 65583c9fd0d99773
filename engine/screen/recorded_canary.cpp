#include "engine/screen/recorded_canary.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/artifact/digest.h"
#include "engine/artifact/text.h"

namespace driftseal::screen {
namespace {

using artifact::Cat;

constexpr uint64_t kMostModelBytes = uint64_t{1} << 30;

// Beside the meta file, then beneath the root, as the other files of a model.
absl::StatusOr<artifact::Source> Open(const artifact::Root& root, const std::string& directory,
                                      const std::string& name) {
  absl::StatusOr<artifact::Source> beside =
      root.OpenFile(directory.empty() || name.starts_with('/') ? name : Cat(directory, "/", name));
  return beside.ok() || !absl::IsNotFound(beside.status()) ? std::move(beside) : root.OpenFile(name);
}

absl::StatusOr<canary::Comparison> Compare(const fingerprint::ModelMeta& meta, const std::string& directory,
                                           const artifact::Root& root, artifact::Format format,
                                           const canary::Prober& prober) {
  const absl::StatusOr<artifact::Source> source = Open(root, directory, meta.canary_path);
  if (!source.ok()) return source.status();
  const absl::StatusOr<canary::CanaryFile> file =
      canary::OpenExpected(*source, {meta.canary_sha256, meta.behaviour_hash});
  if (!file.ok()) return file.status();
  const absl::StatusOr<replay::ModelRuntime> runtime = canary::RuntimeOf(format);
  if (!runtime.ok()) return runtime.status();
  const absl::StatusOr<artifact::Source> model = Open(root, directory, meta.model_path);
  if (!model.ok()) return model.status();
  std::vector<std::byte> scratch;
  const auto bytes = model->ReadAll(kMostModelBytes, scratch);
  if (!bytes.ok()) return bytes.status();
  return canary::CheckExpected(prober.pool(), *bytes, *runtime, artifact::Sha256(*bytes), *file);
}

}  // namespace

std::optional<RecordedCanary> CheckRecordedCanary(const fingerprint::ModelMeta& meta, const std::string& directory,
                                                  const artifact::Root& root, artifact::Format format,
                                                  const canary::Prober& prober) {
  if (meta.canary_path.empty()) return std::nullopt;
  absl::StatusOr<canary::Comparison> comparison = Compare(meta, directory, root, format, prober);
  RecordedCanary recorded{meta.canary_path, comparison.status(), {}};
  if (comparison.ok()) recorded.comparison = *std::move(comparison);
  return recorded;
}

Signal RecordedCanarySignal(const RecordedCanary& recorded) {
  const canary::Comparison& comparison = recorded.comparison;
  if (!recorded.status.ok()) {
    const bool exchanged = absl::IsDataLoss(recorded.status);
    return {"behaviour-changed",
            exchanged ? Severity::kConcern : Severity::kUnknown,
            Cat(exchanged ? "the canary is not the one that was recorded: "
                          : "the model was not compared with its recorded canary: ",
                std::string(recorded.status.message())),
            {{"path", recorded.path}, {"code", absl::StatusCodeToString(recorded.status.code())}}};
  }
  Signal signal{comparison.equal ? "behaviour-match" : "behaviour-changed",
                comparison.equal ? Severity::kInfo : Severity::kConcern,
                canary::TextOf(comparison),
                {{"path", recorded.path},
                 {"bound", comparison.bound},
                 {"expected_behaviour", comparison.expected.Hex()},
                 {"found_behaviour", comparison.found.Hex()},
                 {"canary_inputs", comparison.inputs},
                 {"distance", comparison.distance},
                 {"changed_class", comparison.changed_class}}};
  if (comparison.equal) return signal;
  signal.text += comparison.bound
                     ? "; the file is the one that the canary was made of, so that either the canary's answers were "
                       "altered, or the model does not answer the same each time"
                     : "; either the model was trained again or replaced without a new canary, or somebody altered it";
  return signal;
}

}  // namespace driftseal::screen
