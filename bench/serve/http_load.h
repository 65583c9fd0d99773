#ifndef DRIFTSEAL_BENCH_SERVE_HTTP_LOAD_H_
#define DRIFTSEAL_BENCH_SERVE_HTTP_LOAD_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace driftseal::bench {

struct HttpLoad {
  int port = 0;  ///< On 127.0.0.1.
  pid_t process = 0;
  size_t connections = 8;  ///< One request at a time on each, kept alive.
  size_t rows = 1;
  double warm_up_seconds = 0.5, seconds = 2;
  uint64_t seed = 1;
};

/// POST /v1/score with JSON rows, one thread, and reports as Window does. Every answer's status is checked.
absl::StatusOr<nlohmann::json> RunHttp(const HttpLoad& load);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_HTTP_LOAD_H_
