#ifndef DRIFTSEAL_BENCH_SERVE_VERIFY_LOAD_H_
#define DRIFTSEAL_BENCH_SERVE_VERIFY_LOAD_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "bench/serve/target.h"
#include "nlohmann/json.hpp"

namespace driftseal::bench {

struct VerifyLoad {
  Target target;
  std::string folder;       ///< Beneath the artifact root; every artifact there is verified.
  std::string run;          ///< Name under which verdicts are stored; empty: they are not.
  size_t window = 64;       ///< Unanswered artifacts.
  std::string output_path;  ///< A line a verdict: its report entry. Empty: entries are not asked for.
};

/// Verifies what ListArtifacts names, in one stream: {"artifacts", "seconds", "artifacts_per_second", "missing",
/// "duplicates", "failed", "stored_before", ...}. The list is fetched before the clock starts.
absl::StatusOr<nlohmann::json> RunVerify(const VerifyLoad& load);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_VERIFY_LOAD_H_
