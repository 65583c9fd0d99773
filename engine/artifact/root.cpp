#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "engine/artifact/posix.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

// A descriptor, or a negative errno.
int OpenBeneath(int root, const char* name, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  // EAGAIN: something was renamed meanwhile and the kernel could not prove that ".." stayed beneath.
  constexpr int kAttempts = 16;
  for (int attempt = 0;; ++attempt) {
    const long fd = syscall(SYS_openat2, root, name, &how, sizeof(how));
    if (fd >= 0) return static_cast<int>(fd);
    if (errno == EINTR || (errno == EAGAIN && attempt < kAttempts)) continue;
    return -errno;
  }
}

std::vector<std::string_view> Components(std::string_view path) {
  std::vector<std::string_view> parts;
  for (const std::string_view part : SplitNonEmpty(path, '/')) {
    if (part != ".") parts.push_back(part);
  }
  return parts;
}

// What is left of the absolute `name` behind the directory `prefix`; nothing when it lies elsewhere. A ".." in the rest
// is the kernel's to refuse.
std::optional<std::string> Beneath(std::string_view prefix, std::string_view name) {
  const std::vector<std::string_view> head = Components(prefix);
  const std::vector<std::string_view> parts = Components(name);
  if (parts.size() <= head.size() || !std::equal(head.begin(), head.end(), parts.begin())) return std::nullopt;
  std::string rest;
  for (size_t i = head.size(); i < parts.size(); ++i) rest += Cat(i > head.size() ? "/" : "", parts[i]);
  return rest;
}

absl::Status LeadsOut(const std::string& root, std::string_view name) {
  return absl::PermissionDeniedError(Cat(name, ": leads out of the root ", root));
}

}  // namespace

Root::Root(int fd, std::string path, std::string absolute)
    : fd_(fd), path_(std::move(path)), absolute_(std::move(absolute)) {
  const int probe = OpenBeneath(fd_, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  has_openat2_ = probe >= 0;
  if (probe >= 0) close(probe);
}

Root::Root(Root&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      has_openat2_(other.has_openat2_),
      path_(std::move(other.path_)),
      absolute_(std::move(other.absolute_)),
      canonical_(std::move(other.canonical_)) {}

Root& Root::operator=(Root&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(has_openat2_, other.has_openat2_);
  std::swap(path_, other.path_);
  std::swap(absolute_, other.absolute_);
  std::swap(canonical_, other.canonical_);
  return *this;
}

Root::~Root() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<Root> Root::Open(const std::string& directory) {
  if (directory.find('\0') != std::string::npos) return NulInName(directory);
  UniqueFd fd(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) {
    if (errno == ENOTDIR) return absl::FailedPreconditionError(Cat(directory, ": expected a directory"));
    return ErrnoStatus(errno, directory, "cannot be opened");
  }
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(directory, error).string();
  if (error) return ErrnoStatus(error.value(), directory, "has no absolute path");
  Root root(fd.release(), directory, absolute);
  // The same directory by its other name, where links lead to it.
  root.canonical_ = std::filesystem::canonical(directory, error).string();
  if (error) root.canonical_ = absolute;
  return root;
}

const std::string& Root::path() const { return path_; }

absl::StatusOr<Source> Root::OpenFile(std::string_view name) const {
  if (name.find('\0') != std::string_view::npos) return NulInName(name);
  if (name.empty()) return absl::InvalidArgumentError(Cat(path_, ": an empty file name"));
  std::string relative(name);
  if (name.front() == '/') {
    std::optional<std::string> rest = Beneath(absolute_, name);
    if (!rest) rest = Beneath(canonical_, name);
    if (!rest) return LeadsOut(path_, name);
    relative = *std::move(rest);
  }
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  const int fd = has_openat2_ ? OpenBeneath(fd_, relative.c_str(), kFlags) : WalkBeneath(fd_, relative, kFlags);
  const std::string shown = name.front() == '/' ? std::string(name) : Cat(path_, "/", name);
  if (fd == -EXDEV) return LeadsOut(path_, shown);
  if (fd == -ELOOP && !has_openat2_) {
    return absl::FailedPreconditionError(
        Cat(shown, ": a symbolic link, which is followed only where the kernel has openat2"));
  }
  if (fd < 0) return ErrnoStatus(-fd, shown, "cannot be opened");
  return Source::FromDescriptor(fd, shown);
}

}  // namespace driftseal::artifact
