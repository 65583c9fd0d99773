#include "engine/store/journal.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/artifact/text.h"

namespace driftseal::store {
namespace {

absl::Status IoError(const std::string& path, std::string_view doing) {
  return absl::ErrnoToStatus(errno, artifact::Cat(path, ": could not ", doing));
}

struct Intact {
  size_t entries = 0;
  uint64_t bytes = 0;  // Up to and with the end of the last whole line; 0 when the header is another.
};

// Whether `path` still names the open file: the run that held the lock before may have removed it meanwhile.
bool Names(const std::string& path, int fd) {
  struct stat named, held;
  return ::stat(path.c_str(), &named) == 0 && ::fstat(fd, &held) == 0 && named.st_dev == held.st_dev &&
         named.st_ino == held.st_ino;
}

// How much of the file belongs to this run, at most `limit` entries of it.
Intact Inspect(const std::string& path, std::string_view header, size_t limit) {
  std::ifstream in(path, std::ios::binary);
  std::string line;
  Intact intact;
  if (!in || !std::getline(in, line) || in.eof() || line != header) return intact;
  intact.bytes = line.size() + 1;
  while (intact.entries < limit && std::getline(in, line) && !in.eof()) {
    ++intact.entries;
    intact.bytes += line.size() + 1;
  }
  return intact;
}

}  // namespace

absl::StatusOr<Journal> Journal::Open(const std::string& path, std::string_view header) {
  // "e": a program that is started meanwhile must not hold the lock.
  std::FILE* file = std::fopen(path.c_str(), "ae");
  if (file == nullptr) return IoError(path, "open the journal");
  Journal journal(file, path, 0);
  if (::flock(fileno(file), LOCK_EX | LOCK_NB) != 0 || !Names(path, fileno(file))) {
    return absl::FailedPreconditionError(artifact::Cat(path, ": another run is writing this journal"));
  }
  const Intact intact = Inspect(path, header, SIZE_MAX);
  if (::ftruncate(fileno(file), static_cast<off_t>(intact.bytes)) != 0) return IoError(path, "truncate the journal");
  if (intact.bytes == 0) {
    if (absl::Status status = journal.Append(header); !status.ok()) return status;
  }
  journal.entries_ = intact.entries;
  if (absl::Status status = journal.Sync(); !status.ok()) return status;
  return journal;
}

Journal::Journal(Journal&& other) noexcept
    : file_(std::exchange(other.file_, nullptr)), path_(std::move(other.path_)), entries_(other.entries_) {}

Journal::~Journal() {
  if (file_ != nullptr) std::fclose(file_);
}

absl::Status Journal::Append(std::string_view line) {
  if (std::fwrite(line.data(), 1, line.size(), file_) != line.size() || std::fputc('\n', file_) == EOF) {
    return IoError(path_, "append to the journal");
  }
  ++entries_;
  return absl::OkStatus();
}

absl::Status Journal::Sync() {
  if (std::fflush(file_) != 0 || ::fdatasync(fileno(file_)) != 0) return IoError(path_, "write the journal");
  return absl::OkStatus();
}

absl::Status Journal::Truncate(size_t keep) {
  if (absl::Status status = Sync(); !status.ok()) return status;
  std::ifstream in(path_, std::ios::binary);
  std::string header;
  std::getline(in, header);
  const Intact intact = Inspect(path_, header, keep);
  if (::ftruncate(fileno(file_), static_cast<off_t>(intact.bytes)) != 0) return IoError(path_, "truncate the journal");
  entries_ = intact.entries;
  return absl::OkStatus();
}

absl::Status Journal::Remove() {
  std::error_code error;
  std::filesystem::remove(path_, error);
  if (error) return absl::InternalError(artifact::Cat(path_, ": could not remove the journal: ", error.message()));
  return absl::OkStatus();
}

absl::StatusOr<Journal::Reader> Journal::Read() {
  if (absl::Status status = Sync(); !status.ok()) return status;
  Reader reader;
  reader.in_.open(path_, std::ios::binary);
  std::string header;
  if (!std::getline(reader.in_, header)) return IoError(path_, "read the journal");
  reader.left_ = entries_;
  return reader;
}

std::optional<std::string> Journal::Reader::Next() {
  std::string line;
  if (left_ == 0 || !std::getline(in_, line)) return std::nullopt;
  --left_;
  return line;
}

}  // namespace driftseal::store
