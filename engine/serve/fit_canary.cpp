#include "engine/serve/fit_canary.h"

#include <utility>

#include "engine/artifact/text.h"
#include "engine/screen/canary_sets.h"
#include "engine/serve/verifier.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

absl::Status InField(const char* field, const absl::Status& status) {
  return absl::Status(status.code(), Cat(field, ": ", std::string(status.message())));
}

absl::Status Add(std::vector<canary::SetFile> add, std::vector<canary::SetFile>& sets) {
  for (canary::SetFile& file : add) {
    if (absl::Status status = canary::AddSet(std::move(file), sets); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<canary::SetFile>> SetsOfDetector(const Engine& engine, const std::string& id) {
  const auto found = engine.detectors->Find(id);
  if (!found.ok()) return found.status();
  const auto detector = engine.detectors->Get(Cat(found->name, "@", found->version));
  if (!detector.ok()) return detector.status();
  const std::vector<canary::SetId> ids = screen::CanarySetsOf(**detector);
  if (ids.empty()) return absl::FailedPreconditionError(Cat(id, " was fitted without canary sets"));
  return canary::LoadSets(found->folder, ids);
}

}  // namespace

absl::Status CheckCanarySets(const Engine& engine, const v1::FitRequest& request) {
  if (request.canary_size() > static_cast<int>(canary::kMostSets)) {
    return absl::InvalidArgumentError(Cat("canary: has ", request.canary_size(), ", the limit is ", canary::kMostSets));
  }
  for (const std::string& path : request.canary()) {
    if (const auto checked = CheckPath(engine, "canary", path); !checked.ok()) return checked.status();
  }
  if (request.canary_of().empty()) return absl::OkStatus();
  const auto found = engine.detectors->Find(request.canary_of());
  return found.ok() ? absl::OkStatus() : InField("canary_of", found.status());
}

absl::StatusOr<std::vector<canary::SetFile>> CanarySetsOf(const Engine& engine, const v1::FitRequest& request) {
  std::vector<canary::SetFile> sets;
  if (!request.canary_of().empty()) {
    auto others = SetsOfDetector(engine, request.canary_of());
    if (!others.ok()) return InField("canary_of", others.status());
    if (absl::Status status = Add(*std::move(others), sets); !status.ok()) return InField("canary_of", status);
  }
  for (const std::string& path : request.canary()) {
    const absl::StatusOr<artifact::Source> source = engine.root.OpenFile(path);
    if (!source.ok()) return InField("canary", source.status());
    absl::StatusOr<canary::SetFile> file = canary::ReadSet(*source);
    if (!file.ok()) return InField("canary", file.status());
    if (absl::Status status = canary::AddSet(*std::move(file), sets); !status.ok()) {
      return InField("canary", status);
    }
  }
  return sets;
}

absl::StatusOr<std::vector<canary::SetFile>> CanarySetsOf(const Engine& engine, const detector::Detector& detector,
                                                          const std::string& folder) {
  return canary::LoadSets(folder, screen::CanarySetsOf(detector),
                          [&](const std::string& path) { return engine.root.OpenFile(path); });
}

std::vector<detector::BesideFile> Beside(std::span<const canary::SetFile> sets) {
  std::vector<detector::BesideFile> files;
  for (const canary::SetFile& file : sets) {
    files.push_back({Cat("canary/", file.id.name, ".safetensors"), file.bytes});
  }
  return files;
}

}  // namespace driftseal::serve
