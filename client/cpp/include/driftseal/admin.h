#ifndef DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_ADMIN_H_
#define DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_ADMIN_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "driftseal/scoring.h"

// Detectors, digests and predictions: the messages of driftseal.v1 as plain structs.
namespace driftseal {

struct Family {
  std::string key;
  uint64_t fitted_on = 0, calibrated_on = 0, features_used = 0;
  bool own_detector = false;
};
struct CanarySet {
  std::string name, sha256;
};
struct Detector {
  std::string name;
  int version = 0;
  bool active = false;
  std::string schema;                 ///< "model-fingerprint/2"
  std::vector<std::string> features;  ///< Of GetDetector alone.
  std::vector<Family> families;       ///< Of GetDetector alone.
  std::string origin, sha256;
  std::vector<CanarySet> canary_sets;  ///< Of GetDetector alone; none: it reads files alone.
  bool replays = false;                ///< Of GetDetector alone: the engine runs models on them.
};

/// Zeros and empty strings are the engine's defaults (proto/driftseal/v1/detectors.proto).
struct FitRequest {
  std::string folder, meta_glob;
  bool only_eligible = false;
  std::string name;
  int version = 0;
  uint64_t seed = 0;
  double calibration_share = 0;
  uint32_t family_minimum = 0;
  bool activate = false;
  std::optional<double> alpha, delta;  ///< Of the promise that the report tells.
  std::vector<std::string> paths;      ///< More folders, meta files and model files.
  std::vector<std::string> canary;     ///< Files of canary sets.
  std::string canary_of;               ///< Also the sets of this detector.
};
struct Operation {
  enum class State { kUnspecified, kQueued, kRunning, kDone, kFailed, kCancelled };
  std::string name;
  State state = State::kUnspecified;
  std::string stage;
  uint64_t done = 0, total = 0;  ///< Of this stage; total 0: not known.
  std::optional<Detector> detector;
  std::string error;
  std::optional<std::chrono::system_clock::time_point> created, ended;
  std::vector<std::string> left_out;
  std::string report;  ///< JSON, once done: docs/schemas/fit.schema.json
  bool over() const { return state == State::kDone || state == State::kFailed || state == State::kCancelled; }
};

struct BackfillRequest {
  std::string path, meta_glob;
  bool only_eligible = false, overwrite = false;
};
struct BackfillEntry {
  enum class Outcome { kUnspecified, kWritten, kUnchanged, kMismatch, kSkipped, kError };
  std::string path;
  Outcome outcome = Outcome::kUnspecified;
  std::string error;
  std::string report_entry;  ///< JSON: docs/schemas/backfill.schema.json
};

struct SanitizeRequest {
  std::string predictions_path, output_path;
  std::optional<double> contamination;
  bool overwrite = false;
};
struct SanitizeResult {
  std::string output_path;
  uint64_t rows = 0, dropped = 0;
  std::string report;  ///< JSON: docs/schemas/sanitize.schema.json
};

struct RetrainStep {
  std::string action, text;
  std::vector<std::string> because;
  std::string command;
};
struct RetrainPlan {
  Verdict verdict;
  bool retrain = false;
  std::vector<RetrainStep> steps;
};

enum class Health { kUnknown, kServing, kNotServing, kServiceUnknown };

}  // namespace driftseal

#endif  // DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_ADMIN_H_
