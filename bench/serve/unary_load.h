#ifndef DRIFTSEAL_BENCH_SERVE_UNARY_LOAD_H_
#define DRIFTSEAL_BENCH_SERVE_UNARY_LOAD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>

#include "absl/status/statusor.h"
#include "bench/serve/messages.h"
#include "bench/serve/target.h"
#include "nlohmann/json.hpp"

namespace driftseal::bench {

struct UnaryLoad {
  Target target;
  RequestShape shape;
  double warm_up_seconds = 0.5;  ///< Requests due before this has passed are not counted.
  double seconds = 2;
  /// Closed loop: so many requests are in flight at any time.
  size_t in_flight = 8;
  /// Open loop, where above 0: requests a second, due at times drawn as of a Poisson process whether or not earlier
  /// ones were answered. Latency counts from the time a request was due, so that a slow server cannot hide by slowing
  /// the generator down. It wakes every 100 µs at most: up to so much of a latency is its own.
  double rate = 0;
  size_t most_in_flight = 20000;  ///< Open loop: what is due beyond so many is not sent and counts as "unsent".
  size_t pollers = 1;             ///< Threads that take answers.
  uint64_t seed = 1;              ///< Of the rows and of the times.
  /// Judges an answer to the request made as ScoreRequests(shape, DistinctRequests(shape), seed)[index]; absent:
  /// Answers().
  std::function<bool(size_t index, const v1::ScoreResponse& response)> right;
  std::stop_token stop;  ///< Ends it before its time.
};

/// Calls Score and reports as Window does, with "unsent" beside it.
absl::StatusOr<nlohmann::json> RunUnary(const UnaryLoad& load);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_UNARY_LOAD_H_
