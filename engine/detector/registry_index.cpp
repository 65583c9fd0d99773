#include "engine/detector/registry_index.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/artifact/posix.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/detector/state_reader.h"

namespace driftseal::detector {
namespace {

namespace fs = std::filesystem;
using artifact::Cat;
using Ordered = nlohmann::ordered_json;

constexpr char kFormat[] = "driftseal-detectors/1";
constexpr uint64_t kIndexLimit = 16u << 20;
/// No name of a detector has this character.
constexpr char kIncoming[] = "~incoming";

absl::Status SyncFolder(const std::string& folder) {
  const artifact::UniqueFd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || (fsync(fd.get()) != 0 && errno != EINVAL)) {
    return artifact::ErrnoStatus(errno, folder, "cannot be synced");
  }
  return absl::OkStatus();
}

absl::Status MakeFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  return error ? artifact::ErrnoStatus(error.value(), folder, "cannot be made") : absl::OkStatus();
}

absl::Status WriteBeside(const std::string& folder, const BesideFile& file) {
  const std::string path = Cat(folder, "/", file.name);
  if (absl::Status made = MakeFolder(path.substr(0, path.rfind('/'))); !made.ok()) return made;
  return artifact::WriteFileAtomically(path, file.bytes);
}

RegisteredDetector ReadVersion(StateReader& in, const Json& json, const std::string& where, const std::string& name) {
  RegisteredDetector version;
  version.name = name;
  version.stored = true;
  version.version = static_cast<int>(in.Count(json, where, "version", INT32_MAX));
  version.schema_name = in.Text(json, where, "schema");
  version.schema_version = static_cast<int>(in.Count(json, where, "schema_version", INT32_MAX));
  version.origin = in.Text(json, where, "origin");
  version.sha256 = in.Text(json, where, "sha256");
  return version;
}

IndexEntry ReadEntry(StateReader& in, const Json& json, const std::string& where, const std::string& name) {
  IndexEntry entry;
  entry.active = static_cast<int>(in.Count(json, where, "active", INT32_MAX));
  for (const auto& before : in.Array(json, where, "history")) {
    const bool is_version = before.is_number_unsigned() && before.get<uint64_t>() <= INT32_MAX;
    in.Expect(is_version, where + ".history", "holds something else than versions");
    if (is_version) entry.history.push_back(before.get<int>());
  }
  for (const auto& version : in.Array(json, where, "versions")) {
    const std::string here = Cat(where, ".versions[", entry.versions.size(), "]");
    in.Expect(version.is_object(), here, "is not an object");
    if (!in.ok()) break;
    entry.versions.push_back(ReadVersion(in, version, here, name));
    const size_t n = entry.versions.size();
    in.Expect(n < 2 || entry.versions[n - 2].version < entry.versions[n - 1].version, here,
              "is not in the order of versions");
  }
  return entry;
}

}  // namespace

absl::StatusOr<RegistryFolder> RegistryFolder::Open(const std::string& state_dir) {
  if (absl::Status status = MakeFolder(state_dir + "/detectors"); !status.ok()) return status;
  const std::string lock = state_dir + "/detectors.lock";
  const int fd = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (fd < 0) return artifact::ErrnoStatus(errno, lock, "cannot be opened");
  RegistryFolder folder(state_dir, fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(Cat(state_dir, ": another engine has this folder open"));
  }
  std::error_code error;
  fs::remove_all(Cat(state_dir, "/detectors/", kIncoming), error);
  if (error) return artifact::ErrnoStatus(error.value(), Cat(state_dir, "/detectors/", kIncoming), "cannot be removed");
  return folder;
}

RegistryFolder::RegistryFolder(RegistryFolder&& other) noexcept
    : state_dir_(std::move(other.state_dir_)), lock_(std::exchange(other.lock_, -1)) {}

RegistryFolder::~RegistryFolder() {
  if (lock_ >= 0) close(lock_);
}

absl::StatusOr<Index> RegistryFolder::Read() const {
  const std::string file = state_dir_ + "/detectors.json";
  std::error_code error;
  if (!fs::exists(file, error) && !error) return Index();
  const absl::StatusOr<artifact::Source> source = artifact::Source::Open(file);
  if (!source.ok()) return source.status();
  std::vector<std::byte> scratch;
  const auto bytes = source->ReadAll(kIndexLimit, scratch);
  if (!bytes.ok()) return bytes.status();
  const auto* text = reinterpret_cast<const char*>(bytes->data());
  const Json json = Json::parse(text, text + bytes->size(), nullptr, false);
  StateReader in(file, nullptr);
  in.Expect(json.is_object(), "$", "is not a JSON object");
  if (!in.ok()) return in.status();
  in.Expect(in.Text(json, "$", "format") == kFormat, "$.format", Cat("is not \"", kFormat, "\""));
  Index index;
  for (const auto& entry : in.Array(json, "$", "detectors")) {
    const std::string where = Cat("$.detectors[", index.size(), "]");
    in.Expect(entry.is_object(), where, "is not an object");
    if (!in.ok()) break;
    const std::string name = in.Text(entry, where, "name");
    in.Expect(CheckName(name).ok() && !index.contains(name), where + ".name", "is no name, or there twice");
    index[name] = ReadEntry(in, entry, where, name);
  }
  if (!in.ok()) return in.status();
  return index;
}

absl::Status RegistryFolder::Write(const Index& index) const {
  Ordered detectors = Ordered::array();
  for (const auto& [name, entry] : index) {
    Ordered versions = Ordered::array();
    for (const RegisteredDetector& version : entry.versions) {
      versions.push_back({{"version", version.version},
                          {"schema", version.schema_name},
                          {"schema_version", version.schema_version},
                          {"origin", version.origin},
                          {"sha256", version.sha256}});
    }
    detectors.push_back({{"name", name}, {"active", entry.active}, {"history", entry.history}, {"versions", versions}});
  }
  const Ordered json = {{"format", kFormat}, {"detectors", detectors}};
  return artifact::WriteFileAtomically(state_dir_ + "/detectors.json", json.dump(2) + "\n");
}

std::string RegistryFolder::FolderOf(std::string_view name, int version) const {
  return Cat(state_dir_, "/detectors/", name, "/", version);
}

absl::StatusOr<std::string> RegistryFolder::Store(const Detector& detector, std::span<const BesideFile> beside) const {
  const std::string all = state_dir_ + "/detectors", incoming = Cat(all, "/", kIncoming),
                    of_name = Cat(all, "/", detector.name()), folder = FolderOf(detector.name(), detector.version());
  std::error_code error;
  absl::Status status = detector.Save(incoming);
  for (const BesideFile& file : beside) {
    if (status.ok()) status = WriteBeside(incoming, file);
  }
  if (status.ok()) status = SyncFolder(incoming);
  absl::StatusOr<std::string> digest = status.ok() ? DigestOf(incoming) : status;
  status = digest.status();
  if (status.ok()) status = MakeFolder(of_name);
  if (status.ok()) {
    fs::remove_all(folder, error);
    if (!error) fs::rename(incoming, folder, error);
    if (error) status = artifact::ErrnoStatus(error.value(), folder, "cannot be written");
  }
  for (const std::string& above : {of_name, all, state_dir_}) {
    if (status.ok()) status = SyncFolder(above);
  }
  if (status.ok()) return digest;
  fs::remove_all(incoming, error);
  Remove(detector.name(), detector.version());
  return status;
}

void RegistryFolder::Remove(std::string_view name, int version) const {
  std::error_code error;
  fs::remove_all(FolderOf(name, version), error);
  fs::remove(Cat(state_dir_, "/detectors/", name), error);  // Fails where other versions lie there.
}

}  // namespace driftseal::detector
