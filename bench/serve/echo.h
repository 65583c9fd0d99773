#ifndef DRIFTSEAL_BENCH_SERVE_ECHO_H_
#define DRIFTSEAL_BENCH_SERVE_ECHO_H_

#include <string>

#include "absl/status/status.h"

namespace driftseal::bench {

/// What Score costs without scoring: a service that reads a ScoreRequest and answers with a ScoreResponse of as many
/// rows at once, on gRPC's callback API and nothing else. Listens on 127.0.0.1, writes {"grpc": PORT} to `port_file`
/// and serves until SIGTERM.
absl::Status ServeEcho(const std::string& port_file);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_ECHO_H_
