#ifndef DRIFTSEAL_ENGINE_SERVE_POOL_CALL_H_
#define DRIFTSEAL_ENGINE_SERVE_POOL_CALL_H_

#include <functional>

#include "absl/status/status.h"
#include "engine/serve/engine.h"
#include "grpcpp/support/server_callback.h"

namespace driftseal::serve {

/// Answers a unary call with what `work` returns on a thread of the verify pool; the response is filled in by `work`,
/// which gRPC keeps, as it does the request, until the call is done. Work that nobody waits for is not begun.
grpc::ServerUnaryReactor* RunInPool(Engine& engine, const Method& method, grpc::CallbackServerContext* context,
                                    std::function<absl::Status()> work);

/// Answers a unary call at once with what `work` returns, if the gate lets it pass. `work` must not block.
grpc::ServerUnaryReactor* RunHere(Engine& engine, const Method& method, grpc::CallbackServerContext* context,
                                  const std::function<absl::Status(Call& call)>& work);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_POOL_CALL_H_
