#include "engine/screen/fleet.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <numeric>
#include <thread>
#include <utility>

#include "engine/artifact/atomic_file.h"
#include "engine/artifact/text.h"
#include "engine/screen/entry_line.h"

namespace driftseal::screen {

using nlohmann::ordered_json;

namespace {

// Builds and drops the JSON on the worker's thread: the one that collects the entries has 100,000 of them to write.
Entry EntryOf(const Result& result) {
  const ordered_json json = ToJson(result);
  return {json.at("verdict").get<std::string>(), Dump(json)};
}

}  // namespace

struct FleetRun::State {
  // As many results may wait for an earlier one that takes long (a big model among small ones).
  static constexpr size_t kWindow = 1024;

  const Screener* screener;
  std::span<const Subject> subjects;
  std::mutex mutex;
  std::condition_variable room, ready;
  size_t claimed, emitted;
  bool stop = false;
  std::vector<std::optional<Entry>> window{kWindow};
  std::vector<std::jthread> workers;

  State(const Screener* s, std::span<const Subject> all, size_t first)
      : screener(s), subjects(all), claimed(first), emitted(first) {}

  void Work() {
    for (;;) {
      size_t index = 0;
      {
        std::unique_lock lock(mutex);
        room.wait(lock, [&] { return stop || claimed < emitted + kWindow; });
        if (stop || claimed >= subjects.size()) return;
        index = claimed++;
      }
      Entry entry = EntryOf(screener->Screen(subjects[index]));
      const std::lock_guard lock(mutex);
      window[index % kWindow] = std::move(entry);
      if (index == emitted) ready.notify_one();
    }
  }
};

FleetRun::FleetRun(const Screener* screener, std::span<const Subject> subjects, size_t first, unsigned threads)
    : state_(std::make_unique<State>(screener, subjects, first)) {
  for (unsigned i = 0; i < std::max(1u, threads); ++i)
    state_->workers.emplace_back([state = state_.get()] { state->Work(); });
}

FleetRun::~FleetRun() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->room.notify_all();
}

std::optional<Entry> FleetRun::Next() {
  State& state = *state_;
  std::unique_lock lock(state.mutex);
  if (state.emitted >= state.subjects.size()) return std::nullopt;
  std::optional<Entry>& slot = state.window[state.emitted % State::kWindow];
  state.ready.wait(lock, [&] { return slot.has_value(); });
  std::optional<Entry> entry = std::exchange(slot, std::nullopt);
  ++state.emitted;
  state.room.notify_one();
  return entry;
}

absl::StatusOr<size_t> ResumeFrom(store::Journal& journal, std::span<const Subject> subjects, Tally& tally) {
  absl::StatusOr<store::Journal::Reader> reader = journal.Read();
  if (!reader.ok()) return reader.status();
  size_t done = 0;
  while (done < subjects.size()) {
    const std::optional<std::string> line = reader->Next();
    if (!line) break;
    const ordered_json entry = ordered_json::parse(*line, nullptr, false);
    // The path as the report spells it, see Dump.
    const ordered_json expected = ordered_json::parse(Dump(subjects[done].path));
    if (!entry.is_object() || entry.value("path", ordered_json()) != expected) break;
    if (const auto verdict = entry.find("verdict"); verdict == entry.end() || !verdict->is_string()) break;
    Count(entry, tally);
    ++done;
  }
  if (absl::Status status = journal.Truncate(done); !status.ok()) return status;
  return done;
}

std::vector<double> AdjustedPValues(std::span<const double> p) {
  std::vector<size_t> order;
  for (size_t i = 0; i < p.size(); ++i) {
    if (!std::isnan(p[i])) order.push_back(i);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] < p[b]; });
  std::vector<double> q(p.size(), std::numeric_limits<double>::quiet_NaN());
  double least = 1;
  for (size_t rank = order.size(); rank > 0; --rank) {
    const size_t i = order[rank - 1];
    least = std::min(least, p[i] * static_cast<double>(order.size()) / static_cast<double>(rank));
    q[i] = least;
  }
  return q;
}

namespace {

absl::StatusOr<std::vector<double>> QValues(store::Journal& journal) {
  absl::StatusOr<store::Journal::Reader> reader = journal.Read();
  if (!reader.ok()) return reader.status();
  EntryLines lines;
  std::vector<double> all;
  while (std::optional<std::string> line = reader->Next()) {
    absl::StatusOr<double> p = lines.PValue(*line);
    if (!p.ok()) return p.status();
    all.push_back(*p);
  }
  return AdjustedPValues(all);
}

}  // namespace

absl::Status WriteReport(const std::string& path, ordered_json header, const Tally& tally, store::Journal& journal) {
  absl::StatusOr<std::vector<double>> q = QValues(journal);
  if (!q.ok()) return q.status();
  absl::StatusOr<store::Journal::Reader> reader = journal.Read();
  if (!reader.ok()) return reader.status();
  absl::StatusOr<artifact::AtomicFile> file = artifact::AtomicFile::Create(path);
  if (!file.ok()) return file.status();
  header["summary"] = ToJson(tally);
  std::string text = Dump(header, 2);
  text.erase(text.rfind('\n'));  // The object goes on with its last field.
  absl::Status status = file->Write(artifact::Cat(text, ",\n  \"models\": ["));
  std::string_view separator = "\n    ";
  EntryLines lines;
  for (size_t i = 0; status.ok(); ++i) {
    std::optional<std::string> line = reader->Next();
    if (!line) break;
    if (!std::isnan((*q)[i])) status = lines.AddQValue((*q)[i], *line);
    if (status.ok()) status = file->Write(artifact::Cat(separator, *line));
    separator = ",\n    ";
  }
  if (status.ok()) status = file->Write("\n  ]\n}\n");
  return status.ok() ? file->Commit() : status;
}

std::string Dump(const ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace driftseal::screen
