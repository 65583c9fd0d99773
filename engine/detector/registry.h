#ifndef DRIFTSEAL_ENGINE_DETECTOR_REGISTRY_H_
#define DRIFTSEAL_ENGINE_DETECTOR_REGISTRY_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/detector/backend.h"
#include "engine/detector/detector.h"

// The detectors of an engine, known as name@version; of each name one version is active.
namespace driftseal::detector {

struct RegistryOptions {
  /// Detectors stored here lie under <state_dir>/detectors/<name>/<version>/; which of them there are, which are active
  /// and which were so before stands in <state_dir>/detectors.json. Made when needed. One process at a time.
  std::string state_dir;
  /// A folder of `driftseal fit`, whose detector is served from there beside the stored ones and becomes the default.
  /// Empty, or without a detector_state.json: none.
  std::string model_dir;
  /// Name that "" means; empty: model_dir's, else the only name there is.
  std::string default_name;
  /// Scores rows in bulk (Use); null: double precision.
  std::shared_ptr<const Backend> backend;
  /// The same for detectors that were imported: those promise the scores of where they came from to 1e-5, which float32
  /// does not hold. Null: double precision.
  std::shared_ptr<const Backend> imported_backend;
  /// Whether the backend also scores single models (ScoreRow, ScoreRows), which are otherwise scored in double
  /// precision, to the same digits on every machine.
  bool backend_for_models = false;
  /// Versions that are not active are read when they are asked for; so many of them stay in memory, the last used ones.
  size_t idle_versions = 4;
};

/// What there is to say about one version without reading its files.
struct RegisteredDetector {
  std::string name;
  int version = 0;
  bool active = false;
  bool stored = false;  ///< In state_dir; otherwise in model_dir.
  std::string schema_name;
  int schema_version = 0;
  std::string origin;       ///< Detector::origin().
  std::string sha256;       ///< DigestOf its folder.
  std::string folder = {};  ///< Where its files lie, on this machine.
};

/// A file that is kept with a stored detector (its canary sets).
struct BesideFile {
  std::string name;  ///< In the detector's folder: "canary/digits.safetensors".
  std::string_view bytes;
};

/// SHA-256 (hex) over the digests of a detector's two files: which detector a report was made with.
absl::StatusOr<std::string> DigestOf(const std::string& directory);

/// Nothing, or why `name` cannot be a registered detector's: letters, digits, '-', '_' and '.', at most 64, and neither
/// "." nor "..". InvalidArgument.
absl::Status CheckName(std::string_view name);

/// Safe to share between threads.
class Registry {
 public:
  /// Reads the index and loads the active versions. What a crash left half-written is not seen, and removed. The errors
  /// name the file: an active version that cannot be loaded, an index that is not one, FailedPrecondition for a folder
  /// that another process has open or for a model_dir whose name@version is stored with other content (the same content
  /// is no error: the stored one is served). A model_dir's version is the active one of its name unless another one was
  /// activated before.
  static absl::StatusOr<std::unique_ptr<Registry>> Open(const RegistryOptions& options);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// "name" (its active version), "name@version" or "" (the active version of the default name). NotFound, naming what
  /// there is. Active versions are there at once, for any number of threads; others may have to be read from disk
  /// first, which takes milliseconds. A detector lives as long as somebody holds it, whatever becomes of it here.
  absl::StatusOr<std::shared_ptr<const Detector>> Get(std::string_view id) const;
  /// What `id` stands for, as Get has it, without loading anything.
  absl::StatusOr<RegisteredDetector> Find(std::string_view id) const;
  /// All versions by name and version; of one name alone where it is not empty.
  std::vector<RegisteredDetector> List(std::string_view name = {}) const;
  /// Name that "" means; empty where nothing says.
  std::string default_name() const;
  /// One more than the highest version of this name, 1 for a new one.
  int NextVersion(std::string_view name) const;

  /// Stores a detector under its own name and version; the first version of a name is active at once, others where
  /// `activate` says so. What lies `beside` it comes and goes with it. On disk when it returns. AlreadyExists for a
  /// version that is there, InvalidArgument for a name (CheckName), FailedPrecondition where the backend cannot take
  /// it; nothing is left behind by an error.
  absl::StatusOr<RegisteredDetector> Add(Detector detector, bool activate, std::span<const BesideFile> beside = {});
  /// Makes "name@version" the active version of its name: requests that come later have it, those that came before keep
  /// theirs. On disk when it returns. NotFound; errors of loading, after which everything is as before.
  absl::StatusOr<RegisteredDetector> Activate(std::string_view id);
  /// Makes the version active that was so before; again: the one before that. FailedPrecondition where there was none.
  absl::StatusOr<RegisteredDetector> RollBack(std::string_view name);

 private:
  struct State;
  explicit Registry(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_REGISTRY_H_
