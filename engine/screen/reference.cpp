#include "engine/screen/reference.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "engine/screen/screen.h"

namespace driftseal::screen {
namespace {

using nlohmann::ordered_json;
using Read = absl::StatusOr<Fingerprinted>;

// Why a model must not teach a detector what is normal: its files are not what was recorded, or cannot be read.
std::optional<std::string> Objection(const Fingerprinted& read) {
  for (const Signal& signal : IntegritySignals(read.fingerprint)) {
    if (signal.severity >= Severity::kConcern) return signal.text;
    if (signal.severity == Severity::kUnknown && signal.evidence.value("role", "") == "model") return signal.text;
  }
  return std::nullopt;
}

std::vector<Read> ReadAll(const artifact::Root& root, std::span<const Subject> subjects,
                          const ReferenceOptions& options) {
  std::vector<Read> read(subjects.size(), absl::UnknownError("not read"));
  std::mutex mutex;
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < read.size() && !options.stop.stop_requested(); i = next++) {
      read[i] = FingerprintOf(subjects[i], root, {.prober = options.prober}, options.only_eligible);
      if (!options.progress) continue;
      const std::lock_guard lock(mutex);
      options.progress();
    }
  };
  std::vector<std::jthread> pool;
  for (unsigned i = 0; i < std::max(1u, options.threads); ++i) pool.emplace_back(work);
  pool.clear();
  return read;
}

constexpr size_t kMostReasons = 20;

// "other" where there are many already: reasons may hold what hostile models say.
void CountBehaviour(const std::string& path, const fingerprint::Fingerprint& fingerprint, Reference& reference) {
  if (fingerprint.behaviour == nullptr) return;
  if (fingerprint.behaviour->status.ok()) {
    ++reference.measured;
    for (const auto& [part, milliseconds] : fingerprint.behaviour->raw.cost_ms) {
      reference.replay_seconds += static_cast<double>(milliseconds) / 1000;
    }
    return;
  }
  std::string reason(fingerprint.behaviour->status.message());
  // The reason names the file; models of one reason differ in it.
  if (const size_t at = reason.find(path + ": "); at != std::string::npos) {
    reason = reason.substr(at + path.size() + 2);
  }
  if (reference.not_run.size() >= kMostReasons && !reference.not_run.contains(reason)) reason = "other";
  NotRun& same = reference.not_run[reason];
  if (same.models++ == 0) same.example = path;
}

ordered_json BehaviourJson(const Reference& reference, std::span<const canary::SetFile> sets) {
  auto canary_sets = ordered_json::array(), not_run = ordered_json::array();
  for (const canary::SetFile& file : sets) {
    canary_sets.push_back({{"name", file.id.name}, {"sha256", file.id.sha256}, {"inputs", file.set.count()}});
  }
  for (const auto& [reason, models] : reference.not_run) {
    not_run.push_back({{"reason", reason}, {"models", models.models}, {"example", models.example}});
  }
  return {{"canary_sets", std::move(canary_sets)},
          {"measured", reference.measured},
          {"not_run", std::move(not_run)},
          {"replay_seconds", reference.replay_seconds}};
}

ordered_json GuaranteeJson(const detector::Guarantee& guarantee) {
  ordered_json json = {{"alpha", guarantee.alpha},
                       {"delta", guarantee.delta},
                       {"models_needed", guarantee.needed},
                       {"models_available", guarantee.available},
                       {"threshold", nullptr}};
  if (guarantee.threshold) json["threshold"] = *guarantee.threshold;
  return json;
}

}  // namespace

absl::StatusOr<Reference> ReadReference(const artifact::Root& root, std::span<const Subject> subjects,
                                        const ReferenceOptions& options) {
  const std::vector<Read> read = ReadAll(root, subjects, options);
  if (options.stop.stop_requested()) return absl::CancelledError("stopped while models were read");
  Reference reference;
  for (size_t i = 0; i < read.size(); ++i) {
    const std::string& path = subjects[i].path;
    if (!read[i].ok()) {
      reference.left_out.push_back({path, std::string(read[i].status().message())});
    } else if (options.only_eligible && !read[i]->eligible) {
      reference.left_out.push_back({path, "promotion.eligible is not true"});
    } else if (std::optional<std::string> objection = Objection(*read[i])) {
      reference.left_out.push_back({path, *std::move(objection)});
    } else {
      const fingerprint::Fingerprint& fingerprint = read[i]->fingerprint;
      reference.samples.push_back({path, fingerprint.family.Key(), RowOf(fingerprint)});
      CountBehaviour(path, fingerprint, reference);
    }
  }
  return reference;
}

ordered_json FitSummary(const detector::Detector& detector, const Reference& reference,
                        std::span<const canary::SetFile> sets, double alpha, double delta) {
  ordered_json summary = {{"format", "driftseal-fit/1"},
                          {"name", detector.name()},
                          {"version", detector.version()},
                          {"schema", {{"name", detector.schema().name}, {"version", detector.schema().version}}},
                          {"models", reference.samples.size()}};
  auto families = ordered_json::array();
  for (const auto& family : detector.families()) {
    families.push_back({{"family", family.key},
                        {"view", detector::ViewName(family.view)},
                        {"own_detector", family.own_detector},
                        {"fitted_on", family.fitted_on},
                        {"calibrated_on", family.calibrated_on},
                        {"features_used", family.features_used},
                        {"guarantee", GuaranteeJson(detector.GuaranteeFor(family.key, alpha, delta, family.view))}});
  }
  summary["families"] = std::move(families);
  auto left_out = ordered_json::array();
  for (const LeftOut& model : reference.left_out) left_out.push_back({{"path", model.path}, {"reason", model.reason}});
  summary["left_out"] = std::move(left_out);
  if (!sets.empty()) summary["behaviour"] = BehaviourJson(reference, sets);
  return summary;
}

}  // namespace driftseal::screen
