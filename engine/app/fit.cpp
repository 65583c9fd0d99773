#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"
#include "engine/screen/screen.h"

namespace driftseal::app {
namespace {

// A model that is no part of the reference, and why.
struct LeftOut {
  std::string path, reason;
};

struct Reference {
  std::vector<detector::Sample> samples;
  std::vector<LeftOut> left_out;
};

// Why a model must not teach a detector what is normal: its files are not what was recorded, or cannot be read.
std::optional<std::string> Objection(const screen::Fingerprinted& read) {
  for (const screen::Signal& signal : screen::IntegritySignals(read.fingerprint)) {
    if (signal.severity >= screen::Severity::kConcern) return signal.text;
    if (signal.severity == screen::Severity::kUnknown && signal.evidence.value("role", "") == "model")
      return signal.text;
  }
  return std::nullopt;
}

// Every subject's fingerprint, on all cores, in the subjects' order.
std::vector<absl::StatusOr<screen::Fingerprinted>> ReadAll(const Inputs& inputs, unsigned threads) {
  std::vector<absl::StatusOr<screen::Fingerprinted>> read(inputs.subjects.size(), absl::UnknownError("not read"));
  Progress progress("fingerprints", inputs.subjects.size(), 0);
  std::mutex mutex;
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < read.size(); i = next++) {
      read[i] = screen::FingerprintOf(inputs.subjects[i], inputs.root, {});
      const std::lock_guard lock(mutex);
      progress.Advance();
    }
  };
  std::vector<std::jthread> pool;
  for (unsigned i = 0; i < threads; ++i) pool.emplace_back(work);
  pool.clear();
  return read;
}

Reference Select(const Inputs& inputs, std::vector<absl::StatusOr<screen::Fingerprinted>> read, bool only_eligible) {
  Reference reference;
  for (size_t i = 0; i < read.size(); ++i) {
    const std::string& path = inputs.subjects[i].path;
    if (!read[i].ok()) {
      reference.left_out.push_back({path, std::string(read[i].status().message())});
    } else if (only_eligible && !read[i]->eligible) {
      reference.left_out.push_back({path, "promotion.eligible is not true"});
    } else if (std::optional<std::string> objection = Objection(*read[i])) {
      reference.left_out.push_back({path, *std::move(objection)});
    } else {
      const fingerprint::Fingerprint& fingerprint = read[i]->fingerprint;
      reference.samples.push_back({path, fingerprint.family.Key(), screen::RowOf(fingerprint)});
    }
  }
  return reference;
}

nlohmann::ordered_json GuaranteeJson(const detector::Guarantee& guarantee) {
  nlohmann::ordered_json json = {{"alpha", guarantee.alpha},
                                 {"delta", guarantee.delta},
                                 {"models_needed", guarantee.needed},
                                 {"models_available", guarantee.available},
                                 {"threshold", nullptr}};
  if (guarantee.threshold) json["threshold"] = *guarantee.threshold;
  return json;
}

nlohmann::ordered_json Summary(const detector::Detector& detector, const Reference& reference,
                               const Arguments& arguments) {
  nlohmann::ordered_json summary = {
      {"format", "driftseal-fit/1"},
      {"name", detector.name()},
      {"version", detector.version()},
      {"schema", {{"name", detector.schema().name}, {"version", detector.schema().version}}},
      {"models", reference.samples.size()}};
  auto families = nlohmann::ordered_json::array();
  for (const auto& family : detector.families()) {
    families.push_back(
        {{"family", family.key},
         {"own_detector", family.own_detector},
         {"fitted_on", family.fitted_on},
         {"calibrated_on", family.calibrated_on},
         {"features_used", family.features_used},
         {"guarantee", GuaranteeJson(detector.GuaranteeFor(family.key, arguments.alpha, arguments.delta))}});
  }
  summary["families"] = std::move(families);
  auto left_out = nlohmann::ordered_json::array();
  for (const LeftOut& model : reference.left_out) left_out.push_back({{"path", model.path}, {"reason", model.reason}});
  summary["left_out"] = std::move(left_out);
  return summary;
}

// What the calibration set of a family is good for, in words.
std::string Promise(const detector::Detector::FamilySummary& family, const detector::Guarantee& guarantee,
                    double alpha) {
  const double resolution = 1.0 / (static_cast<double>(family.calibrated_on) + 1);
  if (resolution > alpha) {
    return absl::StrFormat("uncalibrated: %d models, α = %.3g needs %d", family.calibrated_on, alpha,
                           static_cast<int>(1 / alpha + 0.999999) - 1);
  }
  if (guarantee.threshold) {
    return absl::StrFormat("≤ %.3g %% false alarms, also with %.3g %% confidence", 100 * alpha,
                           100 * (1 - guarantee.delta));
  }
  return absl::StrFormat("≤ %.3g %% false alarms on average (with %.3g %% confidence from %d models on)", 100 * alpha,
                         100 * (1 - guarantee.delta), guarantee.needed);
}

void PrintText(const detector::Detector& detector, const Reference& reference, const Arguments& arguments,
               double seconds) {
  Table table({"FAMILY", "FITTED", "CALIBRATED", "FEATURES", "DETECTOR", "PROMISE"});
  for (const auto& family : detector.families()) {
    table.Add({family.key, artifact::Cat(family.fitted_on), artifact::Cat(family.calibrated_on),
               artifact::Cat(family.features_used), family.own_detector ? "own" : "global",
               Promise(family, detector.GuaranteeFor(family.key, arguments.alpha, arguments.delta), arguments.alpha)});
  }
  table.Print(6);
  for (const LeftOut& model : reference.left_out) {
    std::printf("left out: %s\n", Printable(artifact::Cat(model.path, ": ", model.reason)).c_str());
  }
  std::printf("\n%s@%d fitted on %zu models in %s, saved to %s\n", detector.name().c_str(), detector.version(),
              reference.samples.size(), Duration(seconds).c_str(), arguments.model_dir.c_str());
  std::printf(
      "Next: driftseal verify_all FOLDER%s\n",
      arguments.model_dir == "driftseal_detector" ? "" : artifact::Cat(" --model-dir ", arguments.model_dir).c_str());
}

}  // namespace

int Fit(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<Inputs> inputs = FindInputs(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  Reference reference = Select(*inputs, ReadAll(*inputs, Threads(arguments)), arguments.only_eligible);
  detector::FitOptions options;
  options.name = arguments.name;
  options.version = arguments.version;
  options.seed = arguments.seed;
  options.calibration_share = arguments.calibration_share;
  options.family_minimum = arguments.family_minimum;
  options.replay_program = ProgramBeside("driftseal-replay");
  options.threads = Threads(arguments);
  absl::StatusOr<detector::Detector> detector =
      detector::Detector::Fit(screen::ModelSchemaId(), reference.samples, options);
  if (!detector.ok()) {
    for (const LeftOut& model : reference.left_out) {
      std::fprintf(stderr, "left out: %s\n", Printable(artifact::Cat(model.path, ": ", model.reason)).c_str());
    }
    return Fail(detector.status());
  }
  if (absl::Status status = detector->Save(arguments.model_dir); !status.ok()) return Fail(status);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (arguments.json) {
    std::printf("%s\n", screen::Dump(Summary(*detector, reference, arguments), 2).c_str());
  } else {
    PrintText(*detector, reference, arguments, seconds);
  }
  return 0;
}

}  // namespace driftseal::app
