#include "engine/detector/registry_state.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "engine/artifact/text.h"
#include "engine/detector/format.h"

namespace driftseal::detector {
namespace {

using artifact::Cat;

constexpr size_t kMostNamed = 5;

}  // namespace

std::string IdOf(std::string_view name, int version) { return Cat(name, "@", version); }

std::string NamesOf(const Snapshot& snapshot) {
  std::string names;
  for (size_t i = 0; i < std::min(snapshot.list.size(), kMostNamed); ++i) {
    names += Cat(i > 0 ? ", " : "", IdOf(snapshot.list[i].name, snapshot.list[i].version));
  }
  if (snapshot.list.size() > kMostNamed) names += Cat(" and ", snapshot.list.size() - kMostNamed, " more");
  return names.empty() ? "none" : names;
}

RegisteredDetector AboutOf(const Detector& detector) {
  return {detector.name(),           detector.version(), false, false, detector.schema().name,
          detector.schema().version, detector.origin(),  ""};
}

absl::Status Registry::State::Use(Detector& detector) const {
  const std::shared_ptr<const Backend>& backend =
      detector.origin() == "driftseal" ? options.backend : options.imported_backend;
  if (backend == nullptr) return absl::OkStatus();
  return detector.Use(backend, options.backend_for_models ? Detector::Bulk::kAndModels : Detector::Bulk::kOnly);
}

absl::StatusOr<std::shared_ptr<const Detector>> Registry::State::Load(Version& version) const {
  const std::lock_guard lock(version.mutex);
  if (std::shared_ptr<const Detector> alive = version.alive.lock()) return alive;
  const absl::StatusOr<std::string> digest = DigestOf(version.folder);
  if (!digest.ok()) return digest.status();
  if (*digest != version.about.sha256) {
    return absl::FailedPreconditionError(Cat(version.folder, ": its files are not those that were stored as ",
                                             IdOf(version.about.name, version.about.version), ": their digest is ",
                                             *digest, ", not ", version.about.sha256));
  }
  absl::StatusOr<Detector> detector = Detector::Load(version.folder);
  if (!detector.ok()) return detector.status();
  if (absl::Status status = Use(*detector); !status.ok()) return status;
  auto loaded = std::make_shared<const Detector>(*std::move(detector));
  version.alive = loaded;
  return loaded;
}

void Registry::State::Remember(const std::shared_ptr<const Detector>& detector) const {
  std::shared_ptr<const Detector> dropped;  // Freed after the lock.
  const std::lock_guard lock(idle_mutex);
  const auto found = std::find(idle.begin(), idle.end(), detector);
  if (found != idle.end()) return idle.splice(idle.begin(), idle, found);
  idle.push_front(detector);
  if (idle.size() <= options.idle_versions) return;
  dropped = std::move(idle.back());
  idle.pop_back();
}

Version* Registry::State::FindVersion(std::string_view name, int version) const {
  const auto of_name = versions.find(name);
  if (of_name == versions.end()) return nullptr;
  const auto found = of_name->second.find(version);
  return found == of_name->second.end() ? nullptr : found->second.get();
}

/// The version that was activated last and is still there; else model_dir's; else the highest.
int Registry::State::ActiveOf(const std::string& name) const {
  if (const auto entry = index.find(name); entry != index.end()) {
    if (FindVersion(name, entry->second.active) != nullptr) return entry->second.active;
    const auto& history = entry->second.history;
    const auto before =
        std::find_if(history.rbegin(), history.rend(), [&](int v) { return FindVersion(name, v) != nullptr; });
    if (before != history.rend()) return *before;
  }
  if (of_model_dir != nullptr && of_model_dir->about.name == name) return of_model_dir->about.version;
  return versions.at(name).rbegin()->first;
}

absl::Status Registry::State::OpenModelDir() {
  std::error_code error;
  if (options.model_dir.empty()) return absl::OkStatus();
  if (!std::filesystem::exists(Cat(options.model_dir, "/", format::kStateFile), error) && !error) {
    return absl::OkStatus();
  }
  absl::StatusOr<Detector> detector = Detector::Load(options.model_dir);
  if (!detector.ok()) return detector.status();
  const absl::StatusOr<std::string> digest = DigestOf(options.model_dir);
  if (!digest.ok()) return digest.status();
  if (absl::Status status = CheckName(detector->name()); !status.ok()) {
    return absl::Status(status.code(), Cat(options.model_dir, ": ", std::string(status.message())));
  }
  auto version = std::make_shared<Version>();
  version->about = AboutOf(*detector);
  version->about.sha256 = *digest;
  version->folder = options.model_dir;
  if (const Version* stored = FindVersion(version->about.name, version->about.version)) {
    of_model_dir = versions[version->about.name][version->about.version];
    if (stored->about.sha256 == *digest) return absl::OkStatus();
    return absl::FailedPreconditionError(Cat(
        options.model_dir, " and ", stored->folder, " both hold ", IdOf(version->about.name, version->about.version),
        ", and they differ; give the one in ", options.model_dir, " another name or version"));
  }
  if (absl::Status status = Use(*detector); !status.ok()) return status;
  model_dir_detector = std::make_shared<const Detector>(*std::move(detector));
  version->alive = model_dir_detector;
  of_model_dir = version;
  versions[version->about.name][version->about.version] = version;
  return absl::OkStatus();
}

/// Makes what there is now visible. Fails, with everything as before, where an active version cannot be loaded.
absl::Status Registry::State::Publish() {
  auto next = std::make_shared<Snapshot>();
  next->default_name = options.default_name;
  if (next->default_name.empty() && of_model_dir != nullptr) next->default_name = of_model_dir->about.name;
  if (next->default_name.empty() && versions.size() == 1) next->default_name = versions.begin()->first;
  for (const auto& [name, of_name] : versions) {
    const int active = ActiveOf(name);
    for (const auto& [number, version] : of_name) {
      Slot slot{version, nullptr};
      if (number == active) {
        auto loaded = Load(*version);
        if (!loaded.ok()) return loaded.status();
        slot.resident = *std::move(loaded);
        next->by_id[name] = slot;
        if (name == next->default_name) next->by_id[""] = slot;
      }
      next->by_id[IdOf(name, number)] = slot;
      next->list.push_back(version->about);
      next->list.back().folder = version->folder;
      next->list.back().active = number == active;
    }
  }
  std::shared_ptr<const Snapshot> last = std::move(next);  // What goes is freed after the lock.
  const std::lock_guard lock(snapshot_mutex);
  snapshot.swap(last);
  return absl::OkStatus();
}

/// Writes the index and makes it visible, or leaves everything as it was.
absl::Status Registry::State::Commit(Index next) {
  std::swap(index, next);
  absl::Status status = folder.Write(index);
  if (status.ok()) status = Publish();
  if (!status.ok()) {
    std::swap(index, next);
    folder.Write(index).IgnoreError();
  }
  return status;
}

absl::StatusOr<std::pair<std::string, int>> Registry::State::Parse(std::string_view id) const {
  const size_t at = id.rfind('@');
  int version = 0;
  if (at != id.npos) {
    const auto parsed = std::from_chars(id.data() + at + 1, id.data() + id.size(), version);
    if (parsed.ec == std::errc() && parsed.ptr == id.data() + id.size() && FindVersion(id.substr(0, at), version)) {
      return std::pair(std::string(id.substr(0, at)), version);
    }
  } else {
    return absl::InvalidArgumentError(Cat(artifact::Quoted(id), ": expected name@version"));
  }
  return absl::NotFoundError(Cat("there is no detector ", artifact::Quoted(id), "; there are: ", NamesOf(*Now())));
}

absl::StatusOr<RegisteredDetector> Registry::State::Describe(std::string_view id) const {
  const std::shared_ptr<const Snapshot> now = Now();
  const auto found = now->by_id.find(id);
  if (found != now->by_id.end()) {
    RegisteredDetector about = found->second.version->about;
    about.active = found->second.resident != nullptr;
    about.folder = found->second.version->folder;
    return about;
  }
  if (!id.empty()) {
    return absl::NotFoundError(Cat("there is no detector ", artifact::Quoted(id), "; there are: ", NamesOf(*now)));
  }
  if (!now->default_name.empty()) {
    return absl::NotFoundError(
        Cat("the default detector ", now->default_name, " is not there; there are: ", NamesOf(*now)));
  }
  return absl::NotFoundError(now->list.empty() ? std::string("the engine has no detector")
                                               : Cat("which detector is meant? There are: ", NamesOf(*now)));
}

}  // namespace driftseal::detector
