#ifndef DRIFTSEAL_ENGINE_FINGERPRINT_FINGERPRINT_H_
#define DRIFTSEAL_ENGINE_FINGERPRINT_FINGERPRINT_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"
#include "engine/canary/prober.h"
#include "engine/fingerprint/meta.h"
#include "engine/fingerprint/predictions.h"
#include "engine/fingerprint/schema.h"

namespace driftseal::fingerprint {

/// Which models may be compared. `architecture` is the digest of tensor names, shapes and types, so that a bare file
/// has a family too; domain and task are empty for a bare file.
struct Family {
  std::string domain, task, architecture;  ///< architecture: first 16 hex digits of the digest, "" when unreadable.
  std::string Key() const;                 ///< "domain/task/architecture", "-" for an empty part.
};

/// Why a column is NaN: one text covers the columns [first, first + count).
struct Missing {
  size_t first = 0, count = 0;
  std::string reason;
};

/// What one file of the artifact came to.
struct FileEvidence {
  std::string role;  ///< "model", "predictions", "canary", "related"
  std::string path;  ///< As the meta file names it.
  std::optional<artifact::Digest> recorded, actual;
  absl::Status status;  ///< Why it could not be opened, hashed or read (PermissionDenied: it asks for code to be run).
};

/// What running the model came to, where a prober was there.
struct BehaviourEvidence {
  absl::Status status;       ///< Why there is no behaviour (see canary::Prober::Measure).
  std::string set;           ///< Name of the canary set.
  size_t set_inputs = 0;     ///< Canary inputs.
  replay::RawBehaviour raw;  ///< When status is OK.
};

struct Fingerprint {
  Family family;
  std::vector<float> values;  ///< ModelSchema().features.size() columns; NaN where a feature could not be had.
  std::vector<Missing> missing;
  std::vector<FileEvidence> files;
  std::map<std::string, double> covariates;  ///< Recipe covariates, recorded beside the row and not part of it.
  std::optional<artifact::Format> format;
  std::optional<PredictionScan> scan;  ///< Only when asked for.
  /// Only with a prober; shared, since it is large and results are copied.
  std::shared_ptr<const BehaviourEvidence> behaviour;
};

struct Options {
  bool scan_predictions = false;
  /// Runs the model in a sandbox to measure its behaviour; null: models are read only, and the columns of the groups
  /// behaviour and context are missing.
  const canary::Prober* prober = nullptr;
};

/// The fingerprint of a model with a meta file; artifact paths are looked up beside the meta file, then beneath `root`,
/// and never outside of it. A file that is missing or unreadable makes NaN columns and a FileEvidence, not an error.
/// `meta_directory` is relative to the root ("" for the root itself) or lies beneath it as root.path() spells it.
Fingerprint FromMeta(const ModelMeta& meta, const std::string& meta_directory, const artifact::Root& root,
                     const Options& options);
/// The fingerprint of a model file that has no meta file.
Fingerprint FromModelFile(const artifact::Source& model, const Options& options);

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_ENGINE_FINGERPRINT_FINGERPRINT_H_
