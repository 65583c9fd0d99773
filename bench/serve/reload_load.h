#ifndef DRIFTSEAL_BENCH_SERVE_RELOAD_LOAD_H_
#define DRIFTSEAL_BENCH_SERVE_RELOAD_LOAD_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/serve/unary_load.h"
#include "nlohmann/json.hpp"

namespace driftseal::bench {

struct ReloadLoad {
  UnaryLoad unary;                     ///< Closed loop; `seconds` and `right` are set here.
  std::string load_folder;             ///< Beneath the artifact root: a detector that is loaded first; empty: none.
  std::vector<std::string> detectors;  ///< "name@version": activated in turn.
  size_t times = 100;
  double pause_seconds = 0.02;  ///< Between two.
};

/// Calls Score all the while and reports as RunUnary does, with "activations" and "activation_us". An answer is wrong
/// unless all its rows have the scores of the one version that it names. Every version must have answered.
absl::StatusOr<nlohmann::json> RunReload(const ReloadLoad& load);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_RELOAD_LOAD_H_
