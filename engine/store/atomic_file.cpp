#include "engine/store/atomic_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "engine/artifact/text.h"

namespace driftseal::store {
namespace {

absl::Status IoError(const std::string& path, std::string_view doing) {
  return absl::ErrnoToStatus(errno, artifact::Cat(path, ": could not ", doing));
}

}  // namespace

absl::StatusOr<AtomicFile> AtomicFile::Create(const std::string& path) {
  struct stat existing;
  if (::stat(path.c_str(), &existing) == 0 && !S_ISREG(existing.st_mode)) {
    // Renaming over /dev/null or a pipe would take its place.
    return absl::FailedPreconditionError(artifact::Cat(path, ": cannot be replaced: expected a regular file"));
  }
  std::string beside = artifact::Cat(path, ".XXXXXX");
  const int fd = ::mkstemp(beside.data());
  if (fd < 0) return IoError(path, "create the file");
  // mkstemp gives 0600; a report is as readable as any other file the user makes.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(fd, 0666 & ~mask);
  std::FILE* file = ::fdopen(fd, "w");
  if (file == nullptr) {
    ::close(fd);
    ::unlink(beside.c_str());
    return IoError(path, "create the file");
  }
  return AtomicFile(file, path, std::move(beside));
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)), path_(std::move(other.path_)), beside_(std::move(other.beside_)) {}

AtomicFile::~AtomicFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  ::unlink(beside_.c_str());
}

absl::Status AtomicFile::Write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) return IoError(path_, "write");
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  if (std::fflush(file_) != 0 || ::fsync(fileno(file_)) != 0) return IoError(path_, "write");
  if (std::rename(beside_.c_str(), path_.c_str()) != 0) return IoError(path_, "rename into place");
  std::fclose(std::exchange(file_, nullptr));
  return absl::OkStatus();
}

}  // namespace driftseal::store
