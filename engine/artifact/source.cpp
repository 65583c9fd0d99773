#include "engine/artifact/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/artifact/posix.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

FileIdentity IdentityOf(const struct stat& st) {
  const auto ns = [](const timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; };
  return {.device = st.st_dev,
          .inode = st.st_ino,
          .size = static_cast<uint64_t>(st.st_size),
          .modified_ns = ns(st.st_mtim),
          .changed_ns = ns(st.st_ctim)};
}

std::string_view KindOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "a directory";
    case S_IFIFO:
      return "a named pipe";
    case S_IFSOCK:
      return "a socket";
    case S_IFCHR:
    case S_IFBLK:
      return "a device";
    default:
      return "no regular file";
  }
}

}  // namespace

struct Source::State {
  UniqueFd fd;  // -1 for bytes in memory.
  std::string name;
  FileIdentity identity;
  // One of the two holds the bytes of a resident source; `resident` views it.
  std::unique_ptr<std::byte[]> buffer;
  std::vector<std::byte> given;
  bool is_resident = false;
  std::span<const std::byte> resident;

  // Fills `out` from `offset`. Aborted when the file ends early: it had these bytes when it was opened.
  absl::Status ReadInto(uint64_t offset, std::span<std::byte> out) const;
};

absl::Status Source::State::ReadInto(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t n = pread(fd.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, name, "cannot be read");
    if (n == 0) {
      return absl::AbortedError(
          Cat(name, ": the file shrank while it was read: ", identity.size, " bytes when opened, now ", offset + done));
    }
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

Source::Source(std::unique_ptr<State> state) : state_(std::move(state)) {}
Source::Source(Source&&) noexcept = default;
Source& Source::operator=(Source&&) noexcept = default;
Source::~Source() = default;

absl::StatusOr<Source> Source::Open(const std::string& path) {
  if (path.find('\0') != std::string::npos) return NulInName(path);
  // O_NONBLOCK: a named pipe without a writer must not hang the open; it has no effect on regular files.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return ErrnoStatus(errno, path, "cannot be opened");
  return FromDescriptor(fd, path);
}

absl::StatusOr<Source> Source::FromDescriptor(int fd, std::string name) {
  auto state = std::make_unique<State>();
  state->fd = UniqueFd(fd);
  state->name = std::move(name);
  struct stat st;
  if (fstat(fd, &st) != 0) return ErrnoStatus(errno, state->name, "cannot be examined");
  if (!S_ISREG(st.st_mode)) {
    return absl::FailedPreconditionError(Cat(state->name, ": expected a regular file, found ", KindOf(st.st_mode)));
  }
  state->identity = IdentityOf(st);
  const uint64_t size = state->identity.size;
  if (size <= kResidentLimit) {
    state->buffer = std::make_unique_for_overwrite<std::byte[]>(size);
    const std::span<std::byte> bytes(state->buffer.get(), size);
    if (absl::Status status = state->ReadInto(0, bytes); !status.ok()) return status;
    state->resident = bytes;
    state->is_resident = true;
  }
  return Source(std::move(state));
}

Source Source::FromBytes(std::string name, std::vector<std::byte> bytes) {
  auto state = std::make_unique<State>();
  state->name = std::move(name);
  state->identity.size = bytes.size();
  state->given = std::move(bytes);
  state->resident = state->given;
  state->is_resident = true;
  return Source(std::move(state));
}

const std::string& Source::name() const { return state_->name; }
uint64_t Source::size() const { return state_->identity.size; }
const FileIdentity& Source::identity() const { return state_->identity; }

absl::StatusOr<std::span<const std::byte>> Source::Read(uint64_t offset, uint64_t length,
                                                        std::vector<std::byte>& scratch) const {
  if (offset > size() || length > size() - offset) {
    return absl::OutOfRangeError(
        Cat(name(), ": expected ", length, " bytes at byte ", offset, ", but the file has ", size(), " bytes"));
  }
  if (state_->is_resident) return state_->resident.subspan(offset, length);
  scratch.resize(length);
  if (absl::Status status = state_->ReadInto(offset, scratch); !status.ok()) return status;
  return std::span<const std::byte>(scratch);
}

absl::StatusOr<std::span<const std::byte>> Source::ReadAll(uint64_t limit, std::vector<std::byte>& scratch) const {
  if (size() > limit) {
    return absl::ResourceExhaustedError(Cat(name(), ": the file has ", size(), " bytes, the limit is ", limit));
  }
  return Read(0, size(), scratch);
}

absl::Status Source::CheckUnchanged() const {
  if (state_->fd.get() < 0) return absl::OkStatus();
  struct stat st;
  if (fstat(state_->fd.get(), &st) != 0) return ErrnoStatus(errno, name(), "cannot be examined");
  if (IdentityOf(st) == state_->identity) return absl::OkStatus();
  return absl::AbortedError(Cat(name(), ": the file changed while it was read"));
}

}  // namespace driftseal::artifact
