#ifndef DRIFTSEAL_ENGINE_DETECTOR_REGISTRY_INDEX_H_
#define DRIFTSEAL_ENGINE_DETECTOR_REGISTRY_INDEX_H_

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/detector/registry.h"

// What of a registry lies on disk: one small file that says what there is, replaced as a whole, and a folder a version,
// which that file names only once it is complete. So a crash leaves the old state or the new one, and folders that
// nobody names.
namespace driftseal::detector {

struct IndexEntry {
  int active = 0;                            ///< 0: none was activated yet.
  std::vector<int> history;                  ///< Versions that were active before, the latest last.
  std::vector<RegisteredDetector> versions;  ///< Stored ones, ascending.
};
using Index = std::map<std::string, IndexEntry, std::less<>>;

class RegistryFolder {
 public:
  /// Makes the folder where needed, locks it, and removes what a crash left of an Add.
  static absl::StatusOr<RegistryFolder> Open(const std::string& state_dir);
  RegistryFolder(RegistryFolder&& other) noexcept;
  RegistryFolder& operator=(RegistryFolder&&) = delete;
  ~RegistryFolder();

  /// Empty where there is no index yet. InvalidArgument naming file and field.
  absl::StatusOr<Index> Read() const;
  absl::Status Write(const Index& index) const;

  std::string FolderOf(std::string_view name, int version) const;
  /// Saves the detector and what lies beside it in its folder, durably, and returns the digest of its files. A folder
  /// that the index does not name is replaced.
  absl::StatusOr<std::string> Store(const Detector& detector, std::span<const BesideFile> beside = {}) const;
  void Remove(std::string_view name, int version) const;

 private:
  RegistryFolder(std::string state_dir, int lock) : state_dir_(std::move(state_dir)), lock_(lock) {}
  std::string state_dir_;
  int lock_;
};

}  // namespace driftseal::detector

#endif  // DRIFTSEAL_ENGINE_DETECTOR_REGISTRY_INDEX_H_
