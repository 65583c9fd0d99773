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
#include "engine/artifact/atomic_file.h"

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
  /// `shown` is what messages call the directory; empty: as given. Somebody far away need not know where it lies.
  static absl::StatusOr<Root> Open(const std::string& directory, const std::string& shown = "");
  Root(Root&&) noexcept;
  Root& operator=(Root&&) noexcept;
  ~Root();

  const std::string& path() const;  ///< As given.
  /// PermissionDenied "… leads out of the root …" for a name that leaves it; FailedPrecondition for a loop of links.
  absl::StatusOr<Source> OpenFile(std::string_view name) const;
  /// A file to be written at `name`, whose folder must be there; a link to a file beneath the root is followed. Errors
  /// as OpenFile's and AtomicFile's.
  absl::StatusOr<AtomicFile> CreateFile(std::string_view name, AtomicFile::Existing existing) const;
  /// CreateFile, Write, Commit.
  absl::Status WriteFile(std::string_view name, std::string_view bytes, AtomicFile::Existing existing) const;
  /// `name` as it stands beneath the root, by its text alone: absolute names lose the root in front. InvalidArgument
  /// (empty, NUL), PermissionDenied where it leads out by "..". That what it names does not is told when it is opened.
  absl::StatusOr<std::string> RelativeName(std::string_view name) const;
  /// Where the folder `name` lies beneath the root once all links are resolved; "" for the root itself. What is found
  /// there later is to be opened by OpenFile again: names may change meanwhile.
  absl::StatusOr<std::string> ResolveFolder(std::string_view name) const;

 private:
  Root(int fd, std::string path, std::string absolute);
  /// `name` beneath the root, or why it cannot be.
  absl::StatusOr<std::string> Relative(std::string_view name) const;
  std::string Shown(std::string_view name) const;
  absl::StatusOr<UniqueFd> Open(const std::string& relative, int flags, const std::string& shown) const;
  int fd_ = -1;
  bool has_openat2_ = false;  ///< Without it names are walked part by part and no link is followed.
  std::string path_, shown_, absolute_, canonical_;
};

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_SOURCE_H_
