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
      read[i] = FingerprintOf(subjects[i], root, {});
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
    }
  }
  return reference;
}

ordered_json FitSummary(const detector::Detector& detector, const Reference& reference, double alpha, double delta) {
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
  return summary;
}

}  // namespace driftseal::screen
