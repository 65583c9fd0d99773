#ifndef DRIFTSEAL_ENGINE_STORE_ATOMIC_FILE_H_
#define DRIFTSEAL_ENGINE_STORE_ATOMIC_FILE_H_

#include <cstdio>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace driftseal::store {

/// A file that is written piece by piece beside its path and takes the path's place on Commit. Without a Commit nothing
/// is left behind and the old file stays.
class AtomicFile {
 public:
  /// FailedPrecondition when `path` is a folder, a device or anything else than a regular file.
  static absl::StatusOr<AtomicFile> Create(const std::string& path);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  absl::Status Write(std::string_view bytes);
  absl::Status Commit();  ///< Syncs and renames.

 private:
  AtomicFile(std::FILE* file, std::string path, std::string beside)
      : file_(file), path_(std::move(path)), beside_(std::move(beside)) {}
  std::FILE* file_ = nullptr;
  std::string path_, beside_;
};

}  // namespace driftseal::store

#endif  // DRIFTSEAL_ENGINE_STORE_ATOMIC_FILE_H_
