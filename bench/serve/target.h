#ifndef DRIFTSEAL_BENCH_SERVE_TARGET_H_
#define DRIFTSEAL_BENCH_SERVE_TARGET_H_

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "grpcpp/channel.h"

namespace driftseal::bench {

/// The server under load.
struct Target {
  std::string address;     ///< "127.0.0.1:50051"
  size_t connections = 1;  ///< Calls are spread over them in turn.
  pid_t process = 0;       ///< Whose processor time is reported; 0: nobody's.
};

/// Connections of their own, all up. DeadlineExceeded where the server does not answer within ten seconds.
absl::StatusOr<std::vector<std::shared_ptr<grpc::Channel>>> Connect(const Target& target);

}  // namespace driftseal::bench

#endif  // DRIFTSEAL_BENCH_SERVE_TARGET_H_
