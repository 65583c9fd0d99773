#ifndef DRIFTSEAL_ENGINE_SERVE_GRPC_LOG_H_
#define DRIFTSEAL_ENGINE_SERVE_GRPC_LOG_H_

#include "engine/serve/log.h"

namespace driftseal::serve {

/// As long as it lives, what gRPC has to say goes to `log` instead of raw to standard error, where its lines would
/// break the log's format: as kInfo, since clients can bring them about, or kDebug. One at a time; gRPC knows one
/// place.
class GrpcLog {
 public:
  explicit GrpcLog(Log* log);
  ~GrpcLog();
  GrpcLog(const GrpcLog&) = delete;
  GrpcLog& operator=(const GrpcLog&) = delete;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_GRPC_LOG_H_
