#include "engine/serve/grpc_log.h"

#include <mutex>

#include "grpc/support/log.h"

namespace driftseal::serve {
namespace {

std::mutex mutex;  // gRPC's threads may speak while the log ends.
Log* current = nullptr;

void Tell(gpr_log_func_args* line) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (current == nullptr) return;
  const LogLevel level = line->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kInfo : LogLevel::kDebug;
  current->Write(level, "gRPC", {{"note", line->message}, {"file", line->file}, {"line", line->line}});
}

}  // namespace

GrpcLog::GrpcLog(Log* log) {
  const std::lock_guard<std::mutex> lock(mutex);
  current = log;
  gpr_set_log_function(Tell);
}

GrpcLog::~GrpcLog() {
  const std::lock_guard<std::mutex> lock(mutex);
  current = nullptr;
}

}  // namespace driftseal::serve
