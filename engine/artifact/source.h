#ifndef DRIFTSEAL_ENGINE_ARTIFACT_SOURCE_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Bytes on disk, read as hostile: every file is a regular file that was opened once, read through its descriptor (never
// mapped: a mapped file that is truncated meanwhile kills the process) and checked afterwards for having stayed the
// same.
namespace driftseal::artifact {

/// What the kernel says identifies one state of a file. Two equal identities mean the bytes were not changed in between
/// (as far as the file system tells: device, inode, size, modification and change time in nanoseconds).
struct FileIdentity {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified_ns = 0, changed_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};

/// One open regular file. Files of up to kResidentLimit bytes are read once into memory, so that hashing and parsing
/// see the same bytes and cost one read; larger ones are read piece by piece.
class Source {
 public:
  static constexpr uint64_t kResidentLimit = 32u << 20;

  /// Opens a path the user gave on the command line. Errors name the path: NotFound, PermissionDenied,
  /// FailedPrecondition (not a regular file), Internal (other I/O errors).
  static absl::StatusOr<Source> Open(const std::string& path);
  /// A source over bytes in memory, named `name` in errors (tests, fuzz targets, members of archives).
  static Source FromBytes(std::string name, std::vector<std::byte> bytes);

  Source(Source&&) noexcept;
  Source& operator=(Source&&) noexcept;
  ~Source();

  const std::string& name() const;  ///< The path as given, for messages.
  uint64_t size() const;            ///< Bytes, when opened.
  const FileIdentity& identity() const;

  /// `length` bytes from `offset`: a view into resident memory, or into `scratch`, which is resized. OutOfRange when
  /// the file has no such bytes, Aborted when it shrank since it was opened.
  absl::StatusOr<std::span<const std::byte>> Read(uint64_t offset, uint64_t length,
                                                  std::vector<std::byte>& scratch) const;
  /// The whole file. ResourceExhausted, naming the limit, when it is larger than `limit` bytes.
  absl::StatusOr<std::span<const std::byte>> ReadAll(uint64_t limit, std::vector<std::byte>& scratch) const;
  /// Aborted when the file is no longer in the state in which it was opened.
  absl::Status CheckUnchanged() const;

 private:
  friend class Root;
  struct State;
  explicit Source(std::unique_ptr<State> state);
  static absl::StatusOr<Source> FromDescriptor(int fd, std::string name);
  std::unique_ptr<State> state_;
};

/// A directory that a name from a meta file or from the network cannot leave: names are resolved by the kernel with
/// openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS). Symbolic links that stay inside are followed (hub caches are made
/// of them); absolute names are accepted when they lie lexically beneath the root and are then resolved beneath it.
class Root {
 public:
  static absl::StatusOr<Root> Open(const std::string& directory);
  Root(Root&&) noexcept;
  Root& operator=(Root&&) noexcept;
  ~Root();

  const std::string& path() const;  ///< As given.
  /// PermissionDenied "… leads out of the root …" for a name that leaves it; FailedPrecondition for a loop of links.
  absl::StatusOr<Source> OpenFile(std::string_view name) const;

 private:
  Root(int fd, std::string path, std::string absolute);
  int fd_ = -1;
  bool has_openat2_ = false;  ///< Without it names are walked part by part and no link is followed.
  std::string path_, absolute_, canonical_;
};

/// Writes beside `path`, syncs and renames, so that a reader sees the old file or the new one, and an error leaves the
/// old.
absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_SOURCE_H_
