#ifndef DRIFTSEAL_ENGINE_ARTIFACT_POSIX_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_POSIX_H_

#include <string_view>
#include <utility>

#include "absl/status/status.h"

// What the files of this folder share to talk to the kernel.
namespace driftseal::artifact {

/// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd();

  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void Close();
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

/// "<name>: <what>: <text of the error>" with the status code that fits `error`: NotFound, PermissionDenied,
/// FailedPrecondition (loops of links, a directory where a file is wanted), ResourceExhausted, Internal.
absl::Status ErrnoStatus(int error, std::string_view name, std::string_view what);
/// InvalidArgument for a name that holds a NUL byte, which the kernel would cut there.
absl::Status NulInName(std::string_view name);

/// Opens `name` (relative) beneath `root` one component at a time, following no links at all: for kernels and
/// containers without openat2. Returns a descriptor opened with `flags`, or a negative errno; -EXDEV for a name with
/// "..", -ELOOP for a link.
int WalkBeneath(int root, std::string_view name, int flags);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_POSIX_H_
