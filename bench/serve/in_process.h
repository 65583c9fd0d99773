#ifndef DRIFTSEAL_BENCH_SERVE_IN_PROCESS_H_
#define DRIFTSEAL_BENCH_SERVE_IN_PROCESS_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/serve/target.h"
#include "nlohmann/json.hpp"

// Scoring without a server: what the served figures are held against, and what the served scores must be.
namespace driftseal::bench {

struct InProcess {
  std::string detector;  ///< Folder.
  size_t rows = 256;     ///< A call of ScoreBatch.
  double seconds = 2;
  uint64_t seed = 1;
};

/// Scores rows of MakeRows with all cores: {"rows_per_second", "calls", "cpu_seconds", ...}.
absl::StatusOr<nlohmann::json> RunInProcess(const InProcess& options);

/// Whether the server's scores of 1,024 rows are those of the detector in this process, to 1e-5 of the score's size:
/// Internal naming the first row that differs.
absl::Status CheckScores(const Target& target, const std::string& detector);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_IN_PROCESS_H_
