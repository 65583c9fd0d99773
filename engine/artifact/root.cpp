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
      shown_(std::move(other.shown_)),
      absolute_(std::move(other.absolute_)),
      canonical_(std::move(other.canonical_)) {}

Root& Root::operator=(Root&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(has_openat2_, other.has_openat2_);
  std::swap(path_, other.path_);
  std::swap(shown_, other.shown_);
  std::swap(absolute_, other.absolute_);
  std::swap(canonical_, other.canonical_);
  return *this;
}

Root::~Root() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<Root> Root::Open(const std::string& directory, const std::string& shown) {
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
  root.shown_ = shown.empty() ? directory : shown;
  return root;
}

const std::string& Root::path() const { return path_; }

std::string Root::Shown(std::string_view name) const {
  return name.starts_with('/') ? std::string(name) : Cat(shown_, "/", name);
}

absl::StatusOr<std::string> Root::Relative(std::string_view name) const {
  if (name.find('\0') != std::string_view::npos) return NulInName(name);
  if (name.empty()) return absl::InvalidArgumentError(Cat(shown_, ": an empty file name"));
  if (name.front() != '/') return std::string(name);
  std::optional<std::string> rest = Beneath(absolute_, name);
  if (!rest) rest = Beneath(canonical_, name);
  if (!rest) return LeadsOut(shown_, name);
  return *std::move(rest);
}

absl::StatusOr<std::string> Root::RelativeName(std::string_view name) const {
  absl::StatusOr<std::string> relative = Relative(name);
  if (!relative.ok()) return relative;
  int depth = 0;
  for (const std::string_view part : Components(*relative)) {
    depth += part == ".." ? -1 : 1;
    if (depth < 0) return LeadsOut(shown_, name);
  }
  return relative;
}

absl::StatusOr<UniqueFd> Root::Open(const std::string& relative, int flags, const std::string& shown) const {
  flags |= O_CLOEXEC;
  const int fd = has_openat2_ ? OpenBeneath(fd_, relative.c_str(), flags) : WalkBeneath(fd_, relative, flags);
  if (fd == -EXDEV) return LeadsOut(shown_, shown);
  if (fd == -ELOOP && !has_openat2_) {
    return absl::FailedPreconditionError(
        Cat(shown, ": a symbolic link, which is followed only where the kernel has openat2"));
  }
  if (fd < 0) return ErrnoStatus(-fd, shown, "cannot be opened");
  return UniqueFd(fd);
}

absl::StatusOr<Source> Root::OpenFile(std::string_view name) const {
  absl::StatusOr<std::string> relative = Relative(name);
  if (!relative.ok()) return relative.status();
  std::string shown = Shown(name);
  absl::StatusOr<UniqueFd> fd = Open(*relative, O_RDONLY | O_NONBLOCK | O_NOCTTY, shown);
  if (!fd.ok()) return fd.status();
  return Source::FromDescriptor(fd->release(), std::move(shown));
}

absl::StatusOr<AtomicFile> Root::CreateFile(std::string_view name, AtomicFile::Existing existing) const {
  absl::StatusOr<std::string> relative = Relative(name);
  if (!relative.ok()) return relative.status();
  const std::string shown = Shown(name);
  constexpr int kLinks = 40;  // As many as the kernel follows.
  for (int link = 0; link <= kLinks; ++link) {
    const size_t slash = relative->rfind('/');
    const std::string parent = slash == relative->npos ? "." : slash == 0 ? "." : relative->substr(0, slash);
    std::string base = slash == relative->npos ? *relative : relative->substr(slash + 1);
    if (base.empty() || base == "." || base == "..") {
      return absl::InvalidArgumentError(Cat(shown, ": expected the name of a file"));
    }
    absl::StatusOr<UniqueFd> directory = Open(parent, O_RDONLY | O_DIRECTORY, shown);
    if (!directory.ok()) return directory.status();
    char target[4097];
    const ssize_t length = readlinkat(directory->get(), base.c_str(), target, sizeof target);
    if (length < 0) return AtomicFile::CreateIn(*std::move(directory), std::move(base), shown, existing);
    if (!has_openat2_ || target[0] == '/') return LeadsOut(shown_, shown);
    *relative = Cat(parent, "/", std::string_view(target, static_cast<size_t>(length)));
  }
  return ErrnoStatus(ELOOP, shown, "cannot be written");
}

absl::Status Root::WriteFile(std::string_view name, std::string_view bytes, AtomicFile::Existing existing) const {
  absl::StatusOr<AtomicFile> file = CreateFile(name, existing);
  if (!file.ok()) return file.status();
  if (absl::Status status = file->Write(bytes); !status.ok()) return status;
  return file->Commit();
}

absl::StatusOr<std::string> Root::ResolveFolder(std::string_view name) const {
  if (name.empty()) return "";
  absl::StatusOr<std::string> relative = Relative(name);
  if (!relative.ok()) {
    return name == absolute_ || name == canonical_ ? absl::StatusOr<std::string>("") : relative.status();
  }
  const std::string shown = Shown(name);
  absl::StatusOr<UniqueFd> fd = Open(*relative, O_PATH | O_DIRECTORY, shown);
  if (!fd.ok()) return fd.status();
  std::error_code error;
  const std::string resolved = std::filesystem::read_symlink(Cat("/proc/self/fd/", fd->get()), error).string();
  if (error) return ErrnoStatus(error.value(), shown, "cannot be resolved");
  const std::string root = std::filesystem::read_symlink(Cat("/proc/self/fd/", fd_), error).string();
  if (error) return ErrnoStatus(error.value(), shown, "cannot be resolved");
  if (resolved == root) return "";
  std::optional<std::string> beneath = Beneath(root, resolved);
  if (!beneath) return LeadsOut(shown_, shown);
  return *std::move(beneath);
}

}  // namespace driftseal::artifact
