#include "engine/canary/set_files.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <system_error>
#include <utility>

#include "engine/artifact/atomic_file.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/text.h"

namespace driftseal::canary {
namespace {

namespace fs = std::filesystem;
using artifact::Cat;

// 256 MiB of inputs and some headers.
constexpr uint64_t kMostSetBytes = (uint64_t{1} << 28) + (uint64_t{1} << 20);
constexpr char kEnding[] = ".safetensors";
constexpr size_t kLongestName = 64;

bool CanBeAFile(std::string_view name) {
  const auto plain = [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' ||
           c == '.';
  };
  return !name.empty() && name.size() <= kLongestName && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), plain);
}

absl::StatusOr<std::vector<std::string>> FilesIn(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == kEnding) files.push_back(entry->path().string());
  }
  if (error) return absl::PermissionDeniedError(Cat(folder, ": ", error.message()));
  if (files.empty()) return absl::NotFoundError(Cat(folder, ": holds no canary set (*", kEnding, ")"));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

absl::StatusOr<SetFile> ReadSet(const artifact::Source& source) {
  std::vector<std::byte> scratch;
  const auto bytes = source.ReadAll(kMostSetBytes, scratch);
  if (!bytes.ok()) return bytes.status();
  SetFile file;
  file.bytes.assign(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  absl::StatusOr<replay::CanarySet> set = replay::DecodeCanarySet(file.bytes, source.name());
  if (!set.ok()) return set.status();
  file.set = *std::move(set);
  if (!CanBeAFile(file.set.name)) {
    return absl::InvalidArgumentError(Cat(source.name(), ": the set is named ", artifact::Quoted(file.set.name),
                                          ", expected 1 to ", kLongestName,
                                          " letters, digits, '-', '_' and '.', which is not the first"));
  }
  file.id = {file.set.name, artifact::Sha256(std::as_bytes(std::span<const char>(file.bytes))).Hex()};
  return file;
}

absl::Status AddSet(SetFile add, std::vector<SetFile>& sets) {
  const auto same = std::find_if(sets.begin(), sets.end(), [&](const SetFile& f) { return f.id.name == add.id.name; });
  if (same != sets.end()) {
    if (same->id == add.id) return absl::OkStatus();
    return absl::AlreadyExistsError(
        Cat("two different canary sets are named ", artifact::Quoted(add.id.name), ": expected one of a name"));
  }
  if (sets.size() == kMostSets) return absl::ResourceExhaustedError(Cat("more than ", kMostSets, " canary sets"));
  sets.push_back(std::move(add));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SetFile>> ReadSets(std::span<const std::string> paths) {
  std::vector<SetFile> sets;
  for (const std::string& path : paths) {
    std::vector<std::string> files = {path};
    std::error_code error;
    if (fs::is_directory(path, error)) {
      absl::StatusOr<std::vector<std::string>> found = FilesIn(path);
      if (!found.ok()) return found.status();
      files = *std::move(found);
    }
    for (const std::string& file : files) {
      const absl::StatusOr<artifact::Source> source = artifact::Source::Open(file);
      if (!source.ok()) return source.status();
      absl::StatusOr<SetFile> set = ReadSet(*source);
      if (!set.ok()) return set.status();
      if (absl::Status status = AddSet(*std::move(set), sets); !status.ok()) {
        return absl::Status(status.code(), Cat(file, ": ", std::string(status.message())));
      }
    }
  }
  return sets;
}

std::string SetPath(const std::string& folder, const std::string& name) {
  return Cat(folder, "/canary/", name, kEnding);
}

absl::Status WriteSets(const std::string& folder, std::span<const SetFile> sets) {
  if (sets.empty()) return absl::OkStatus();
  std::error_code error;
  fs::create_directories(Cat(folder, "/canary"), error);
  if (error) return absl::ErrnoToStatus(error.value(), Cat(folder, "/canary: cannot be made"));
  for (const SetFile& file : sets) {
    const absl::Status status = artifact::WriteFileAtomically(SetPath(folder, file.id.name), file.bytes);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<SetFile>> LoadSets(const std::string& folder, std::span<const SetId> ids,
                                              const OpenFile& open) {
  std::vector<SetFile> sets;
  for (const SetId& id : ids) {
    // The name is the detector's, and a detector may come from anywhere.
    if (!CanBeAFile(id.name)) {
      return absl::FailedPreconditionError(Cat(folder, ": the detector names a canary set ", artifact::Quoted(id.name),
                                               ", which no file can be called"));
    }
    const std::string path = SetPath(folder, id.name);
    const absl::StatusOr<artifact::Source> source = open(path);
    if (!source.ok()) {
      return absl::FailedPreconditionError(
          Cat("canary set ", id.name, " of the detector cannot be read: ", std::string(source.status().message())));
    }
    absl::StatusOr<SetFile> file = ReadSet(*source);
    if (!file.ok()) return absl::FailedPreconditionError(std::string(file.status().message()));
    if (file->id != id) {
      return absl::FailedPreconditionError(Cat(path, ": is not the canary set ", id.name,
                                               " that the detector was fitted with: its SHA-256 is ", file->id.sha256,
                                               ", expected ", id.sha256));
    }
    sets.push_back(*std::move(file));
  }
  return sets;
}

std::vector<replay::CanarySet> SetsOf(std::vector<SetFile> sets) {
  std::vector<replay::CanarySet> out;
  for (SetFile& file : sets) out.push_back(std::move(file.set));
  return out;
}

}  // namespace driftseal::canary
