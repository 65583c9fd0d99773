#include "bench/fleet/manifest.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/artifact/digest.h"
#include "engine/artifact/source.h"

namespace driftseal::fleet {
namespace {

using nlohmann::ordered_json;

constexpr uint64_t kManifestLimit = 16u << 20;

ordered_json ToJson(const FleetRun& run) {
  return {{"domain", run.domain},
          {"first_index", run.first_index},
          {"count", run.count},
          {"seed", run.seed},
          {"recipe", run.recipe},
          {"format", run.format},
          {"data", run.data},
          {"options_sha256", run.poison_sha256},
          {"extensible", run.extensible}};
}

FleetRun FromJson(const ordered_json& json) {
  return {.domain = json.at("domain"),
          .first_index = json.at("first_index"),
          .count = json.at("count"),
          .seed = json.at("seed"),
          .recipe = json.at("recipe"),
          .format = json.at("format"),
          .data = json.at("data"),
          .poison_sha256 = json.at("options_sha256"),
          .extensible = json.at("extensible")};
}

/// The name of the option in which two runs differ; empty when they are the same.
std::string Difference(const FleetRun& a, const FleetRun& b) {
  const auto differ = [](absl::string_view option, const auto& there, const auto& asked) {
    return absl::StrCat(option, " was ", there, ", asked for is ", asked);
  };
  if (a.first_index != b.first_index) return differ("--first-index", a.first_index, b.first_index);
  if (a.seed != b.seed) return differ("--seed", a.seed, b.seed);
  if (a.recipe != b.recipe) return differ("--recipe", a.recipe, b.recipe);
  if (a.format != b.format) return differ("--format", a.format, b.format);
  if (a.data != b.data) return differ("the data", a.data, b.data);
  if (a.poison_sha256 != b.poison_sha256)
    return "--poison, --count, --poison-rate, --target-class, --shift, --variant or --training differ";
  return "";
}

}  // namespace

FleetRun RunOf(const Domain& domain, const FleetOptions& options) {
  FleetRun run{.domain = domain.info().name,
               .first_index = options.first_index,
               .seed = options.job.seed,
               .recipe = options.recipe_text,
               .data = domain.data().source};
  run.format = options.job.formats.empty() ? "default" : absl::StrJoin(options.job.formats, ",");
  run.extensible = options.poison.size() == 1 && options.shifts.size() == 1 && options.variants.size() == 1;
  std::string poison = absl::StrCat("rate=", options.job.attack.poison_rate.value_or(-1),
                                    " target=", options.job.attack.target_class.value_or(-1));
  for (const AttackCount& entry : options.poison) {
    run.count += entry.count;
    absl::StrAppend(&poison, " ", AttackName(entry.attack), ":", run.extensible ? 0 : entry.count);
  }
  // Only where there are any, so that fleets made before these options were there can be continued.
  const std::string extra = absl::StrCat(absl::StrJoin(options.shifts, ","), " ", absl::StrJoin(options.variants, ","));
  if (extra != "none none") absl::StrAppend(&poison, " ", extra);
  if (options.job.attack.lean != Lean::kUsual)
    absl::StrAppend(&poison, " lean=", static_cast<int>(options.job.attack.lean));
  run.poison_sha256 = artifact::Sha256(std::as_bytes(std::span(poison))).Hex();
  return run;
}

absl::StatusOr<Manifest> Manifest::Open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make the folder ", directory));
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open the folder ", directory));
  Manifest manifest(fd, (std::filesystem::path(directory) / ".fleet.json").string());
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return absl::UnavailableError(absl::StrCat(directory, ": another driftseal-fleet is filling this folder"));
  }
  if (access(directory.c_str(), W_OK) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat(directory, ": not writable"));
  if (!std::filesystem::exists(manifest.path_)) return manifest;
  const auto source = artifact::Source::Open(manifest.path_);
  if (!source.ok()) return source.status();
  std::vector<std::byte> scratch;
  const auto bytes = source->ReadAll(kManifestLimit, scratch);
  if (!bytes.ok()) return bytes.status();
  try {
    const auto* text = reinterpret_cast<const char*>(bytes->data());
    const ordered_json parsed = ordered_json::parse(text, text + bytes->size());
    for (const ordered_json& run : parsed.at("runs")) {
      manifest.runs_.push_back(FromJson(run));
    }
  } catch (const nlohmann::json::exception& problem) {
    return absl::InvalidArgumentError(absl::StrCat(manifest.path_, ": not a fleet's manifest: ", problem.what()));
  }
  return manifest;
}

Manifest::Manifest(Manifest&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), runs_(std::move(other.runs_)) {}

Manifest::~Manifest() {
  if (fd_ >= 0) close(fd_);
}

absl::Status Manifest::Admit(const FleetRun& run) {
  FleetRun* same = nullptr;
  for (FleetRun& there : runs_) {
    const bool overlaps = there.domain == run.domain && there.first_index < run.first_index + run.count &&
                          run.first_index < there.first_index + there.count;
    if (!overlaps) continue;
    if (const std::string difference = Difference(there, run); !difference.empty()) {
      return absl::FailedPreconditionError(absl::StrCat(
          path_, ": the folder holds ", there.domain, " models ", there.first_index, "..",
          there.first_index + there.count - 1, " made with other options: ", difference,
          ". Use the same options to continue it, another --first-index to add to it, or another --output"));
    }
    same = &there;
  }
  if (same == nullptr) {
    runs_.push_back(run);
  } else {
    same->count = std::max(same->count, run.count);
  }
  return absl::OkStatus();
}

absl::Status Manifest::Save() const {
  ordered_json runs = ordered_json::array();
  for (const FleetRun& run : runs_) runs.push_back(ToJson(run));
  const ordered_json manifest = {{"format", "driftseal-fleet"}, {"version", 1}, {"runs", runs}};
  return artifact::WriteFileAtomically(path_, manifest.dump(2) + "\n");
}

}  // namespace driftseal::fleet
