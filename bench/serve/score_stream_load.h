#ifndef DRIFTSEAL_BENCH_SERVE_SCORE_STREAM_LOAD_H_
#define DRIFTSEAL_BENCH_SERVE_SCORE_STREAM_LOAD_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "bench/serve/messages.h"
#include "bench/serve/target.h"
#include "nlohmann/json.hpp"

namespace driftseal::bench {

struct ScoreStreamLoad {
  Target target;  ///< One stream a connection.
  RequestShape shape;
  double warm_up_seconds = 0.5, seconds = 2;
  size_t window = 32;  ///< Unanswered requests of each stream.
  uint64_t seed = 1;
};

/// Streams requests as fast as they are answered and reports as Window does. Answers that come twice or not at all
/// count as wrong, those with an error as failed.
absl::StatusOr<nlohmann::json> RunScoreStream(const ScoreStreamLoad& load);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_SCORE_STREAM_LOAD_H_
