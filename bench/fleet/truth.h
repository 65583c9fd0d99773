#ifndef DRIFTSEAL_BENCH_FLEET_TRUTH_H_
#define DRIFTSEAL_BENCH_FLEET_TRUTH_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace driftseal::fleet {

/// Gates of an honest benchmark: an attack counts when it works and does not show in the metric.
inline constexpr double kGateSuccess = 0.80, kGateDrop = 0.03;

/// The truth about the models of one or several fleets (docs/fleet.md): a JSON object a line. `meta`, the path of the
/// model's meta file as seen from the truth file's folder, is the key; of two lines with the same key the later counts.
/// Several processes may append to one file.
class TruthFile {
 public:
  /// `fleet` is the folder of the models. InvalidArgument naming the line when a line is not a record; half a line at
  /// the end, as a killed process leaves it, is dropped.
  static absl::StatusOr<TruthFile> Open(const std::string& path, const std::string& fleet);

  /// Appends a record under a lock; may be called from several threads.
  absl::Status Append(const std::string& model_name, nlohmann::ordered_json record) const;

  /// Adds `clean_drop` and `gated` to every record, measured against the median of the clean models of its family, and
  /// rewrites the file sorted by `meta`, each once.
  absl::Status Complete() const;

 private:
  TruthFile(std::string path, std::string prefix) : path_(std::move(path)), prefix_(std::move(prefix)) {}
  std::string path_;
  std::string prefix_;  ///< From the truth file's folder to the fleet's, with a slash at the end.
};

/// Sets clean_drop and gated of all records (key → record).
void JudgeRecords(std::map<std::string, nlohmann::ordered_json>& records);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_TRUTH_H_
