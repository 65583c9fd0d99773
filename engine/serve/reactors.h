#ifndef DRIFTSEAL_ENGINE_SERVE_REACTORS_H_
#define DRIFTSEAL_ENGINE_SERVE_REACTORS_H_

#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

// Reactors for calls that end before they begin.
namespace driftseal::serve {

template <typename Base>
class EndedReactor final : public Base {
 public:
  explicit EndedReactor(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

template <typename Response>
grpc::ServerWriteReactor<Response>* EndedWriter(const grpc::Status& status) {
  return new EndedReactor<grpc::ServerWriteReactor<Response>>(status);
}

template <typename Request, typename Response>
grpc::ServerBidiReactor<Request, Response>* EndedStream(const grpc::Status& status) {
  return new EndedReactor<grpc::ServerBidiReactor<Request, Response>>(status);
}

inline grpc::ServerUnaryReactor* Ended(grpc::CallbackServerContext* context, const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_REACTORS_H_
