#ifndef DRIFTSEAL_ENGINE_DETECTOR_REGISTRY_STATE_H_
#define DRIFTSEAL_ENGINE_DETECTOR_REGISTRY_STATE_H_

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/detector/registry.h"
#include "engine/detector/registry_index.h"

// What a Registry is made of.
namespace driftseal::detector {

/// A version that there is. Its detector may be in memory or not.
struct Version {
  RegisteredDetector about;
  std::string folder;
  std::mutex mutex;                     ///< Of what follows: it is loaded once, not once a request.
  std::weak_ptr<const Detector> alive;  ///< Held by requests, by the snapshot, or as one of the last used.
};

/// A detector that is active stays in memory.
struct Slot {
  std::shared_ptr<Version> version;
  std::shared_ptr<const Detector> resident;
};

/// Immutable; replaced as a whole.
struct Snapshot {
  std::map<std::string, Slot, std::less<>> by_id;  ///< "name@version", "name", "".
  std::vector<RegisteredDetector> list;
  std::string default_name;
};

std::string IdOf(std::string_view name, int version);
/// What there is, for messages: "a@1, a@2 and 3 more".
std::string NamesOf(const Snapshot& snapshot);
/// Without what the detector cannot know: where it is stored, whether it is active, its digest.
RegisteredDetector AboutOf(const Detector& detector);

struct Registry::State {
  State(const RegistryOptions& given, RegistryFolder opened) : options(given), folder(std::move(opened)) {}

  std::shared_ptr<const Snapshot> Now() const {
    const std::lock_guard lock(snapshot_mutex);
    return snapshot;
  }
  absl::Status OpenModelDir();
  absl::Status Use(Detector& detector) const;
  absl::StatusOr<std::shared_ptr<const Detector>> Load(Version& version) const;
  void Remember(const std::shared_ptr<const Detector>& detector) const;
  Version* FindVersion(std::string_view name, int version) const;
  int ActiveOf(const std::string& name) const;
  absl::Status Publish();
  absl::Status Commit(Index next);
  absl::StatusOr<std::pair<std::string, int>> Parse(std::string_view id) const;
  absl::StatusOr<RegisteredDetector> Describe(std::string_view id) const;

  const RegistryOptions options;
  std::mutex changes;  ///< Held by whoever changes what there is; guards what follows.
  RegistryFolder folder;
  Index index;
  std::map<std::string, std::map<int, std::shared_ptr<Version>>, std::less<>> versions;
  std::shared_ptr<Version> of_model_dir;
  std::shared_ptr<const Detector> model_dir_detector;  ///< Its folder is not ours: what was read stays.

  mutable std::mutex snapshot_mutex;  ///< For the time of copying a pointer.
  std::shared_ptr<const Snapshot> snapshot = std::make_shared<Snapshot>();
  mutable std::mutex idle_mutex;
  mutable std::list<std::shared_ptr<const Detector>> idle;  ///< The last used one first.
};

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_REGISTRY_STATE_H_
