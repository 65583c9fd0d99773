#include "engine/artifact/posix.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/escaping.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {

UniqueFd::~UniqueFd() { Close(); }

void UniqueFd::Close() {
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

absl::Status ErrnoStatus(int error, std::string_view name, std::string_view what) {
  const std::string message = Cat(name, ": ", what, ": ", std::generic_category().message(error));
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(message);
    case ENOTDIR:
      return absl::NotFoundError(Cat(message, " (a part of the path is a file)"));
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(message);
    case ELOOP:
      return absl::FailedPreconditionError(Cat(message, " (a loop of symbolic links)"));
    case EISDIR:
    case ENXIO:
    case ENODEV:
      return absl::FailedPreconditionError(message);
    case ENAMETOOLONG:
      return absl::InvalidArgumentError(message);
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::Status NulInName(std::string_view name) {
  return absl::InvalidArgumentError(Cat("\"", absl::CHexEscape(ForAbsl(name)), "\": a NUL byte in a file name"));
}

int WalkBeneath(int root, std::string_view name, int flags) {
  std::vector<std::string> parts;
  for (const std::string_view part : SplitNonEmpty(name, '/')) {
    if (part == "..") return -EXDEV;
    if (part != ".") parts.emplace_back(part);
  }
  if (parts.empty()) parts.emplace_back(".");
  UniqueFd held;
  int at = root;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    UniqueFd next(openat(at, parts[i].c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    // O_DIRECTORY finds a link to be no directory; tell the two apart for the message.
    if (next.get() < 0) {
      const int error = errno;
      char target;
      return error == ENOTDIR && readlinkat(at, parts[i].c_str(), &target, 1) >= 0 ? -ELOOP : -error;
    }
    held = std::move(next);
    at = held.get();
  }
  const int fd = openat(at, parts.back().c_str(), flags | O_NOFOLLOW);
  return fd >= 0 ? fd : -errno;
}

}  // namespace driftseal::artifact
