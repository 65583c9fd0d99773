#include "engine/detector/registry.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/artifact/digest.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/detector/format.h"
#include "engine/detector/registry_state.h"

namespace driftseal::detector {
namespace {

using artifact::Cat;

constexpr size_t kMostHistory = 100;

void MakeActive(IndexEntry& entry, int before, int version) {
  entry.history.push_back(before);
  if (entry.history.size() > kMostHistory) entry.history.erase(entry.history.begin());
  entry.active = version;
}

}  // namespace

absl::StatusOr<std::string> DigestOf(const std::string& directory) {
  std::string digests;
  for (const char* name : {format::kStateFile, format::kArraysFile}) {
    absl::StatusOr<artifact::Source> source = artifact::Source::Open(Cat(directory, "/", name));
    if (!source.ok()) return source.status();
    absl::StatusOr<artifact::Digest> digest = artifact::Sha256(*source);
    if (!digest.ok()) return digest.status();
    digests += digest->Hex();
  }
  return artifact::Sha256(std::as_bytes(std::span(digests))).Hex();
}

absl::Status CheckName(std::string_view name) {
  const auto plain = [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' ||
           c == '.';
  };
  if (!name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), plain) && name != "." &&
      name != "..") {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(Cat("a detector cannot be named ", artifact::Quoted(name),
                                        ": expected 1 to 64 letters, digits, '-', '_' and '.'"));
}

Registry::Registry(std::unique_ptr<State> state) : state_(std::move(state)) {}
Registry::~Registry() = default;

absl::StatusOr<std::unique_ptr<Registry>> Registry::Open(const RegistryOptions& options) {
  absl::StatusOr<RegistryFolder> folder = RegistryFolder::Open(options.state_dir);
  if (!folder.ok()) return folder.status();
  auto state = std::make_unique<State>(options, *std::move(folder));
  absl::StatusOr<Index> index = state->folder.Read();
  if (!index.ok()) return index.status();
  state->index = *std::move(index);
  for (const auto& [name, entry] : state->index) {
    for (const RegisteredDetector& about : entry.versions) {
      auto version = std::make_shared<Version>();
      version->about = about;
      version->folder = state->folder.FolderOf(name, about.version);
      state->versions[name][about.version] = std::move(version);
    }
  }
  if (absl::Status status = state->OpenModelDir(); !status.ok()) return status;
  if (absl::Status status = state->Publish(); !status.ok()) return status;
  return std::unique_ptr<Registry>(new Registry(std::move(state)));
}

absl::StatusOr<std::shared_ptr<const Detector>> Registry::Get(std::string_view id) const {
  const std::shared_ptr<const Snapshot> now = state_->Now();
  const auto found = now->by_id.find(id);
  if (found == now->by_id.end()) return state_->Describe(id).status();
  if (found->second.resident != nullptr) return found->second.resident;
  auto loaded = state_->Load(*found->second.version);
  if (loaded.ok()) state_->Remember(*loaded);
  return loaded;
}

absl::StatusOr<RegisteredDetector> Registry::Find(std::string_view id) const { return state_->Describe(id); }

std::vector<RegisteredDetector> Registry::List(std::string_view name) const {
  const std::shared_ptr<const Snapshot> now = state_->Now();
  if (name.empty()) return now->list;
  std::vector<RegisteredDetector> list;
  std::copy_if(now->list.begin(), now->list.end(), std::back_inserter(list),
               [&](const RegisteredDetector& about) { return about.name == name; });
  return list;
}

std::string Registry::default_name() const { return state_->Now()->default_name; }

int Registry::NextVersion(std::string_view name) const {
  const std::vector<RegisteredDetector> list = List(name);
  return list.empty() ? 1 : list.back().version + 1;
}

absl::StatusOr<RegisteredDetector> Registry::Add(Detector detector, bool activate, std::span<const BesideFile> beside) {
  State& state = *state_;
  const std::lock_guard lock(state.changes);
  const std::string name = detector.name();
  const int number = detector.version();
  if (absl::Status status = CheckName(name); !status.ok()) return status;
  if (number < 1) return absl::InvalidArgumentError(Cat(name, ": its version is ", number, ", expected 1 or more"));
  if (state.FindVersion(name, number) != nullptr) {
    return absl::AlreadyExistsError(Cat("there is a detector ", IdOf(name, number), "; versions are never replaced"));
  }
  if (absl::Status status = state.Use(detector); !status.ok()) return status;
  const absl::StatusOr<std::string> digest = state.folder.Store(detector, beside);
  if (!digest.ok()) return digest.status();

  auto version = std::make_shared<Version>();
  version->about = AboutOf(detector);
  version->about.stored = true;
  version->about.sha256 = *digest;
  version->folder = state.folder.FolderOf(name, number);
  const auto held = std::make_shared<const Detector>(std::move(detector));
  version->alive = held;
  const bool first = !state.versions.contains(name);
  Index next = state.index;
  IndexEntry& entry = next[name];
  const auto after = [number](const RegisteredDetector& other) { return other.version > number; };
  entry.versions.insert(std::find_if(entry.versions.begin(), entry.versions.end(), after), version->about);
  if (first) entry.active = number;
  if (!first && activate) MakeActive(entry, state.ActiveOf(name), number);
  state.versions[name][number] = version;
  if (absl::Status status = state.Commit(std::move(next)); !status.ok()) {
    state.versions[name].erase(number);
    if (first) state.versions.erase(name);
    state.folder.Remove(name, number);
    return status;
  }
  return state.Describe(IdOf(name, number));
}

absl::StatusOr<RegisteredDetector> Registry::Activate(std::string_view id) {
  State& state = *state_;
  const std::lock_guard lock(state.changes);
  const auto parsed = state.Parse(id);
  if (!parsed.ok()) return parsed.status();
  const auto& [name, version] = *parsed;
  const int active = state.ActiveOf(name);
  if (version == active) return state.Describe(id);
  // Before anything is written: what does not load is not activated.
  const auto loaded = state.Load(*state.FindVersion(name, version));
  if (!loaded.ok()) return loaded.status();
  Index next = state.index;
  IndexEntry& entry = next[name];
  MakeActive(entry, active, version);
  if (absl::Status status = state.Commit(std::move(next)); !status.ok()) return status;
  return state.Describe(id);
}

absl::StatusOr<RegisteredDetector> Registry::RollBack(std::string_view name) {
  State& state = *state_;
  const std::lock_guard lock(state.changes);
  const auto of_name = state.versions.find(name);
  if (of_name == state.versions.end()) {
    return absl::NotFoundError(
        Cat("there is no detector ", artifact::Quoted(name), "; there are: ", NamesOf(*state.Now())));
  }
  const int active = state.ActiveOf(of_name->first);
  Index next = state.index;
  IndexEntry& entry = next[of_name->first];
  while (!entry.history.empty() &&
         (entry.history.back() == active || !of_name->second.contains(entry.history.back()))) {
    entry.history.pop_back();
  }
  if (entry.history.empty()) {
    return absl::FailedPreconditionError(Cat("no version of ", name, " was active before ", IdOf(name, active)));
  }
  entry.active = entry.history.back();
  entry.history.pop_back();
  const auto loaded = state.Load(*state.FindVersion(name, entry.active));
  if (!loaded.ok()) return loaded.status();
  if (absl::Status status = state.Commit(std::move(next)); !status.ok()) return status;
  return state.Describe(name);
}

}  // namespace driftseal::detector
