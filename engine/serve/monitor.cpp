#include "engine/serve/monitor.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"
#include "engine/serve/monitor_family.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using nlohmann::ordered_json;

constexpr char kFormat[] = "driftseal-monitor/1";
constexpr uint64_t kFileLimit = 256u << 20;
using Key = std::pair<std::string, std::string>;  // Detector, family.

int64_t Now() { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); }

}  // namespace

struct Monitor::State {
  std::string path;
  double alpha;
  Log& log;
  std::mutex mutex;  // Of what stands below; `writing` is taken first where both are.
  std::condition_variable wake;
  std::map<Key, FamilyMonitor> families;
  bool dirty = false, stop = false;
  std::mutex writing;
  std::thread thread;

  State(const std::string& file, double level, Log* to) : path(file), alpha(level), log(*to) {}
  absl::Status Read();
  void Parse(const ordered_json& json);
  std::string Text();
  absl::Status Write();
  void Work();
};

void Monitor::State::Parse(const ordered_json& json) {
  if (json.at("format").get<std::string>() != kFormat) throw std::runtime_error("another format");
  const bool same_level = json.at("alpha").get<double>() == alpha;
  for (const ordered_json& detector : json.at("detectors")) {
    for (const ordered_json& family : detector.at("families")) {
      FamilyMonitor read = FamilyMonitor::FromJson(family);
      if (!same_level) read.ForgetFlags();
      families.emplace(Key(detector.at("detector").get<std::string>(), family.at("family").get<std::string>()),
                       std::move(read));
    }
  }
}

absl::Status Monitor::State::Read() {
  const absl::StatusOr<artifact::Source> source = artifact::Source::Open(path);
  if (absl::IsNotFound(source.status())) return absl::OkStatus();
  if (!source.ok()) return source.status();
  std::vector<std::byte> scratch;
  const absl::StatusOr<std::span<const std::byte>> bytes = source->ReadAll(kFileLimit, scratch);
  if (!bytes.ok()) return bytes.status();
  try {
    const auto* text = reinterpret_cast<const char*>(bytes->data());
    Parse(ordered_json::parse(text, text + bytes->size()));
  } catch (const std::exception& problem) {
    families.clear();
    const std::string aside = path + ".damaged";
    std::error_code error;
    std::filesystem::rename(path, aside, error);
    if (error) return absl::DataLossError(Cat(path, ": is damaged and cannot be moved away: ", error.message()));
    log.Warning("monitor.json was damaged and begins anew", {{"moved_to", aside}, {"problem", problem.what()}});
  }
  return absl::OkStatus();
}

std::string Monitor::State::Text() {
  ordered_json detectors = ordered_json::array();
  for (const auto& [key, family] : families) {
    if (detectors.empty() || detectors.back()["detector"] != key.first) {
      detectors.push_back({{"detector", key.first}, {"families", ordered_json::array()}});
    }
    ordered_json entry = {{"family", key.second}};
    entry.update(family.ToJson(alpha));
    detectors.back()["families"].push_back(std::move(entry));
  }
  return screen::Dump({{"format", kFormat}, {"alpha", alpha}, {"detectors", std::move(detectors)}}, 1) + "\n";
}

absl::Status Monitor::State::Write() {
  const std::lock_guard one_at_a_time(writing);
  std::map<Key, FamilyMonitor> copy;
  {
    const std::lock_guard lock(mutex);
    if (!dirty) return absl::OkStatus();
    dirty = false;
    copy = families;
  }
  // The text is made without the lock: nobody who notes waits for it.
  State snapshot(path, alpha, &log);
  snapshot.families = std::move(copy);
  absl::Status status = artifact::WriteFileAtomically(path, snapshot.Text());
  if (status.ok()) return status;
  const std::lock_guard lock(mutex);
  dirty = true;
  return status;
}

void Monitor::State::Work() {
  bool failed = false;
  std::unique_lock lock(mutex);
  while (!stop) {
    wake.wait(lock, [this] { return stop || dirty; });
    lock.unlock();
    const absl::Status status = Write();
    // Told once, not once a second.
    if (!status.ok() && !failed) log.Error("monitor.json cannot be written", {{"error", status.ToString()}});
    failed = !status.ok();
    lock.lock();
    wake.wait_for(lock, std::chrono::seconds(1), [this] { return stop; });
  }
}

absl::StatusOr<std::unique_ptr<Monitor>> Monitor::Open(const std::string& path, double alpha, Log* log) {
  auto state = std::make_unique<State>(path, alpha, log);
  if (absl::Status status = state->Read(); !status.ok()) return status;
  state->thread = std::thread([raw = state.get()] { raw->Work(); });
  return std::unique_ptr<Monitor>(new Monitor(std::move(state)));
}

Monitor::Monitor(std::unique_ptr<State> state) : state_(std::move(state)) {}

Monitor::~Monitor() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->wake.notify_all();
  state_->thread.join();
  if (absl::Status status = Write(); !status.ok()) {
    state_->log.Error("monitor.json cannot be written", {{"error", status.ToString()}});
  }
}

void Monitor::Note(const screen::Result& result, const std::string& detector) {
  const Key key(detector, result.error.ok() ? result.fingerprint.family.Key() : "");
  const int64_t now = Now();
  {
    const std::lock_guard lock(state_->mutex);
    auto& families = state_->families;
    if (families.size() >= kFamilies && !families.contains(key)) {
      const auto older = [](const auto& a, const auto& b) { return a.second.last_seen() < b.second.last_seen(); };
      families.erase(std::min_element(families.begin(), families.end(), older));
    }
    families[key].Note(result, state_->alpha, now);
    state_->dirty = true;
  }
  state_->wake.notify_all();
}

absl::Status Monitor::Write() { return state_->Write(); }

}  // namespace driftseal::serve
