#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>

#include "engine/artifact/posix.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

struct Target {
  std::string path;       // Links resolved, so that writing through a link keeps the link.
  std::string directory;  // Of `path`.
  bool exists = false;
  mode_t mode = 0;  // Of the existing file.
};

absl::StatusOr<Target> ResolveTarget(const std::string& path) {
  Target target{.path = path, .directory = "."};
  struct stat st;
  if (stat(path.c_str(), &st) == 0) {
    if (!S_ISREG(st.st_mode)) {
      return absl::FailedPreconditionError(Cat(path, ": cannot be replaced: expected a regular file"));
    }
    std::error_code error;
    target.path = std::filesystem::canonical(path, error).string();
    if (error) return ErrnoStatus(error.value(), path, "cannot be resolved");
    target.exists = true;
    target.mode = st.st_mode & 07777;
  } else if (errno != ENOENT) {
    return ErrnoStatus(errno, path, "cannot be written");
  }
  if (const size_t slash = target.path.rfind('/'); slash != std::string::npos) {
    target.directory = slash == 0 ? "/" : target.path.substr(0, slash);
  }
  return target;
}

// Creates "<path>.<random>.tmp", which nobody else has, and stores its name.
absl::StatusOr<UniqueFd> CreateBeside(const std::string& path, std::string& name) {
  std::random_device random;
  constexpr int kAttempts = 8;
  for (int attempt = 0;; ++attempt) {
    name = Cat(path, ".", absl::Hex(random(), absl::kZeroPad8), ".tmp");
    UniqueFd fd(open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (fd.get() >= 0) return fd;
    if (errno != EEXIST || attempt == kAttempts) return ErrnoStatus(errno, path, "cannot be written");
  }
}

absl::Status WriteAndSync(int fd, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, path, "cannot be written");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  if (fsync(fd) != 0) return ErrnoStatus(errno, path, "cannot be synced");
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes) {
  if (path.find('\0') != std::string::npos) return NulInName(path);
  absl::StatusOr<Target> target = ResolveTarget(path);
  if (!target.ok()) return target.status();
  std::string beside;
  absl::StatusOr<UniqueFd> fd = CreateBeside(target->path, beside);
  if (!fd.ok()) return fd.status();
  absl::Status status = WriteAndSync(fd->get(), path, bytes);
  if (status.ok() && target->exists && fchmod(fd->get(), target->mode) != 0) {
    status = ErrnoStatus(errno, path, "cannot be given its mode");
  }
  if (status.ok() && rename(beside.c_str(), target->path.c_str()) != 0) {
    status = ErrnoStatus(errno, path, "cannot be replaced");
  }
  if (!status.ok()) {
    unlink(beside.c_str());
    return status;
  }
  // The rename is durable once the directory is.
  const UniqueFd directory(open(target->directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || (fsync(directory.get()) != 0 && errno != EINVAL)) {
    return ErrnoStatus(errno, path, "was written, but its directory cannot be synced");
  }
  return absl::OkStatus();
}

}  // namespace driftseal::artifact
