#include "engine/artifact/atomic_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

#include "engine/artifact/source.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

constexpr size_t kBufferBytes = 64u << 10;

absl::Status IsThere(const std::string& shown) { return absl::AlreadyExistsError(Cat(shown, ": is there already")); }

// Creates "<base>.<random>.tmp" in the folder, which nobody else has, and stores its name.
absl::StatusOr<UniqueFd> CreateBeside(int directory, const std::string& base, const std::string& shown,
                                      std::string& name) {
  std::random_device random;
  constexpr int kAttempts = 8;
  constexpr size_t kBaseBytes = 200;  // Of the 255 that a name may have.
  for (int attempt = 0;; ++attempt) {
    name = Cat(base.substr(0, kBaseBytes), ".", absl::Hex(random(), absl::kZeroPad8), ".tmp");
    UniqueFd fd(openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (fd.get() >= 0) return fd;
    if (errno != EEXIST || attempt == kAttempts) return ErrnoStatus(errno, shown, "cannot be written");
  }
}

// 0 or an errno; EEXIST where `to` is there.
int RenameWithoutReplacing(int directory, const char* from, const char* to) {
  if (renameat2(directory, from, directory, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system that does not know the flag; a link is refused for a name that is there, too.
  if (linkat(directory, from, directory, to, 0) != 0) return errno;
  unlinkat(directory, from, 0);
  return 0;
}

}  // namespace

absl::StatusOr<AtomicFile> AtomicFile::Create(const std::string& path, Existing existing) {
  if (path.find('\0') != std::string::npos) return NulInName(path);
  std::string target = path;
  struct stat st;
  if (stat(path.c_str(), &st) == 0) {
    // Links resolved, so that writing through a link keeps the link.
    std::error_code error;
    target = std::filesystem::canonical(path, error).string();
    if (error) return ErrnoStatus(error.value(), path, "cannot be resolved");
  } else if (errno != ENOENT) {
    return ErrnoStatus(errno, path, "cannot be written");
  }
  const size_t slash = target.rfind('/');
  const std::string folder = slash == target.npos ? "." : slash == 0 ? "/" : target.substr(0, slash);
  UniqueFd directory(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0) return ErrnoStatus(errno, path, "cannot be written");
  return CreateIn(std::move(directory), slash == target.npos ? target : target.substr(slash + 1), path, existing);
}

absl::StatusOr<AtomicFile> AtomicFile::CreateIn(UniqueFd directory, std::string base, std::string shown,
                                                Existing existing) {
  AtomicFile file;
  struct stat st;
  if (fstatat(directory.get(), base.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    if (existing == Existing::kKeep) return IsThere(shown);
    if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
      // Renaming over /dev/null or a pipe would take its place.
      return absl::FailedPreconditionError(Cat(shown, ": cannot be replaced: expected a regular file"));
    }
    if (S_ISREG(st.st_mode)) file.mode_ = st.st_mode & 07777;
  }
  absl::StatusOr<UniqueFd> fd = CreateBeside(directory.get(), base, shown, file.beside_);
  if (!fd.ok()) return fd.status();
  file.directory_ = std::move(directory);
  file.file_ = *std::move(fd);
  file.base_ = std::move(base);
  file.shown_ = std::move(shown);
  file.existing_ = existing;
  return file;
}

AtomicFile::~AtomicFile() {
  if (file_.get() >= 0) unlinkat(directory_.get(), beside_.c_str(), 0);
}

absl::Status AtomicFile::Flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t n = write(file_.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, shown_, "cannot be written");
    rest.remove_prefix(static_cast<size_t>(n));
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status AtomicFile::Write(std::string_view bytes) {
  buffer_.append(bytes);
  return buffer_.size() < kBufferBytes ? absl::OkStatus() : Flush();
}

absl::Status AtomicFile::Commit() {
  if (absl::Status status = Flush(); !status.ok()) return status;
  if (mode_ && fchmod(file_.get(), *mode_) != 0) return ErrnoStatus(errno, shown_, "cannot be given its mode");
  if (fsync(file_.get()) != 0) return ErrnoStatus(errno, shown_, "cannot be synced");
  const int directory = directory_.get();
  if (existing_ == Existing::kKeep) {
    const int error = RenameWithoutReplacing(directory, beside_.c_str(), base_.c_str());
    if (error == EEXIST) return IsThere(shown_);
    if (error != 0) return ErrnoStatus(error, shown_, "cannot be put in place");
  } else if (renameat(directory, beside_.c_str(), directory, base_.c_str()) != 0) {
    return ErrnoStatus(errno, shown_, "cannot be replaced");
  }
  file_ = UniqueFd();
  // The rename is durable once the directory is.
  if (fsync(directory) != 0 && errno != EINVAL) {
    return ErrnoStatus(errno, shown_, "was written, but its directory cannot be synced");
  }
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes) {
  absl::StatusOr<AtomicFile> file = AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  if (absl::Status status = file->Write(bytes); !status.ok()) return status;
  return file->Commit();
}

}  // namespace driftseal::artifact
