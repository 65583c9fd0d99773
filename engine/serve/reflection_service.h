#ifndef DRIFTSEAL_ENGINE_SERVE_REFLECTION_SERVICE_H_
#define DRIFTSEAL_ENGINE_SERVE_REFLECTION_SERVICE_H_

#include <memory>

#include "grpcpp/server_builder.h"

namespace driftseal::serve {

/// grpc.reflection.v1 and v1alpha: what the server serves, for grpcurl and the like. gRPC's own service of this kind is
/// a synchronous one, with a thread for every stream that somebody leaves open.
class ReflectionService {
 public:
  ReflectionService();
  ~ReflectionService();
  void Register(grpc::ServerBuilder& builder);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_REFLECTION_SERVICE_H_
