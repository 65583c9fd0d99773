#include "engine/serve/replays.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "engine/artifact/text.h"
#include "engine/screen/canary_sets.h"
#include "engine/serve/replay_counts.h"
#include "engine/serve/replay_program.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
namespace fs = std::filesystem;

constexpr size_t kMostProbers = 8;  // Each holds its canary sets.

unsigned WorkersOf(const Options& options) {
  return options.replay_workers > 0 ? static_cast<unsigned>(options.replay_workers)
                                    : std::max(1u, std::thread::hardware_concurrency());
}

canary::PoolOptions PoolOptionsOf(const Options& options) {
  canary::PoolOptions pool;
  pool.program = ReplayProgram();
  pool.workers = WorkersOf(options);
  for (const std::string_view name : artifact::SplitNonEmpty(options.replay_allow_missing, ',')) {
    pool.allow_missing.emplace_back(name);
  }
  pool.time_limit = std::chrono::milliseconds(options.replay_timeout_ms);
  pool.memory_limit = options.replay_memory_bytes;
  pool.isolate_each = options.replay_isolate;
  return pool;
}

// "landlock, seccomp"
std::string NamesOf(const std::vector<canary::SandboxMeasure>& measures, bool active) {
  std::string names;
  for (const canary::SandboxMeasure& measure : measures) {
    if (measure.active == active) names += Cat(names.empty() ? "" : ", ", measure.name);
  }
  return names.empty() ? "none" : names;
}

bool AnyNeedsReplay(const Engine& engine) {
  for (const detector::RegisteredDetector& one : engine.detectors->List()) {
    if (!one.active) continue;
    const auto detector = engine.detectors->Get(Cat(one.name, "@", one.version));
    if (detector.ok() && !screen::CanarySetsOf(**detector).empty()) return true;
  }
  return false;
}

}  // namespace

std::string ReplayProgram() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* name : {"driftseal-replay", "../lib/driftseal/driftseal-replay", "../bin/driftseal-replay"}) {
    const fs::path path = folder / name;
    if (::access(path.c_str(), X_OK) == 0) return path.string();
  }
  return (folder / "driftseal-replay").string();
}

Replays::Replays(const Options& options, Log& log, StartReplay start)
    : options_(options), log_(log), start_(start), counts_(std::make_shared<ReplayCounts>()) {}

absl::StatusOr<std::shared_ptr<Replays>> Replays::Open(Engine& engine, StartReplay start) {
  std::shared_ptr<Replays> replays(new Replays(engine.options, engine.log, start));
  engine.metrics->Add(
      [counts = replays->counts_](std::vector<prometheus::MetricFamily>& families) { counts->Collect(families); });
  const std::string& mode = engine.options.replay;
  if (mode == "on" && replays->Pool() == nullptr) {
    return absl::FailedPreconditionError(Cat("replay is \"on\", and ", replays->why_not_,
                                             " (replay_allow_missing runs models without measures of the sandbox; "
                                             "replay = \"off\" runs none)"));
  }
  if (mode == "auto" && AnyNeedsReplay(engine)) replays->Pool();
  return replays;
}

std::shared_ptr<canary::ReplayPool> Replays::Pool() {
  const std::lock_guard lock(mutex_);
  if (tried_) return pool_;
  tried_ = true;
  if (options_.replay == "off") {
    why_not_ = "this engine runs no models (replay = \"off\")";
    return nullptr;
  }
  const canary::PoolOptions options = PoolOptionsOf(options_);
  absl::StatusOr<std::unique_ptr<canary::ReplayPool>> pool = start_(options);
  if (!pool.ok()) {
    why_not_ = std::string(pool.status().message());
    log_.Warning("models are not run: what their detectors learned of behaviour is not asked", {{"error", why_not_}});
    return nullptr;
  }
  pool_ = std::make_shared<CountedPool>(*std::move(pool), counts_);
  counts_->SetWorkers(options.workers);
  log_.Info("models are run in a sandbox", {{"workers", options.workers},
                                            {"time_limit_ms", options_.replay_timeout_ms},
                                            {"measures", NamesOf(pool_->measures(), true)},
                                            {"missing", NamesOf(pool_->measures(), false)}});
  for (const canary::SandboxMeasure& measure : pool_->measures()) {
    if (!measure.active) {
      log_.Warning("the sandbox lacks a measure", {{"measure", measure.name}, {"problem", measure.problem}});
    }
  }
  return pool_;
}

bool Replays::runs() { return Pool() != nullptr; }

absl::StatusOr<screen::Replaying> Replays::For(const detector::Detector& detector, const std::string& folder) {
  const std::vector<canary::SetId> ids = screen::CanarySetsOf(detector);
  if (ids.empty()) return screen::Replaying();
  const std::shared_ptr<canary::ReplayPool> pool = Pool();
  if (pool == nullptr) return screen::Replaying{nullptr, why_not_};
  const std::string id = Cat(detector.name(), "@", detector.version(), " ", folder);
  {
    const std::lock_guard lock(mutex_);
    const auto is = [&](const auto& entry) { return entry.first == id; };
    const auto found = std::find_if(probers_.begin(), probers_.end(), is);
    if (found != probers_.end()) {
      probers_.splice(probers_.begin(), probers_, found);
      return screen::Replaying{found->second, ""};
    }
  }
  absl::StatusOr<std::vector<canary::SetFile>> sets = canary::LoadSets(folder, ids);
  if (!sets.ok()) return sets.status();
  auto prober = std::make_shared<const canary::Prober>(pool, canary::SetsOf(*std::move(sets)), replay::ProbeOptions());
  const std::lock_guard lock(mutex_);
  probers_.emplace_front(id, prober);
  if (probers_.size() > kMostProbers) probers_.pop_back();
  return screen::Replaying{std::move(prober), ""};
}

absl::StatusOr<screen::Replaying> Replays::For(const Engine& engine, const detector::Detector& detector) {
  if (screen::CanarySetsOf(detector).empty()) return screen::Replaying();
  const auto found = engine.detectors->Find(Cat(detector.name(), "@", detector.version()));
  if (!found.ok()) return found.status();
  return For(detector, found->folder);
}

absl::StatusOr<screen::Replaying> Replays::For(std::vector<canary::SetFile> sets) {
  if (sets.empty()) return screen::Replaying();
  const std::shared_ptr<canary::ReplayPool> pool = Pool();
  if (pool == nullptr) return absl::FailedPreconditionError(Cat("canary: ", why_not_));
  return screen::Replaying{
      std::make_shared<canary::Prober>(pool, canary::SetsOf(std::move(sets)), replay::ProbeOptions()), ""};
}

}  // namespace driftseal::serve
