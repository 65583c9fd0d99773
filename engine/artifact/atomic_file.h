#ifndef DRIFTSEAL_ENGINE_ARTIFACT_ATOMIC_FILE_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_ATOMIC_FILE_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/posix.h"

namespace driftseal::artifact {

/// A file that is written piece by piece beside its name and takes the name's place on Commit: a reader sees the old
/// file or the new one. Without a Commit nothing is left behind and the old file stays. Beneath a root:
/// Root::CreateFile.
class AtomicFile {
 public:
  enum class Existing {
    kReplace,  ///< Its mode is kept. A link stays, and the file that it leads to is replaced.
    kKeep,     ///< AlreadyExists where something of this name is there, also when it came after Create.
  };
  /// Errors name the path: FailedPrecondition for a folder, a device or anything else than a regular file; NotFound
  /// where the folder is missing; PermissionDenied.
  static absl::StatusOr<AtomicFile> Create(const std::string& path, Existing existing = Existing::kReplace);
  AtomicFile(AtomicFile&&) noexcept = default;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  absl::Status Write(std::string_view bytes);
  absl::Status Commit();  ///< Syncs file and folder around the rename.

 private:
  friend class Root;
  AtomicFile() = default;
  /// `base` in the open folder `directory`; `shown` is what errors call it.
  static absl::StatusOr<AtomicFile> CreateIn(UniqueFd directory, std::string base, std::string shown,
                                             Existing existing);
  absl::Status Flush();
  UniqueFd directory_, file_;
  std::string base_, beside_, shown_, buffer_;
  std::optional<mode_t> mode_;  ///< Of the file that is replaced.
  Existing existing_ = Existing::kReplace;
};

/// Create, Write, Commit.
absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_ATOMIC_FILE_H_
