#ifndef DRIFTSEAL_ENGINE_SERVE_DETECTORS_SERVICE_H_
#define DRIFTSEAL_ENGINE_SERVE_DETECTORS_SERVICE_H_

#include "driftseal/v1/detectors.grpc.pb.h"
#include "engine/serve/engine.h"

namespace driftseal::serve {

/// driftseal.v1.Detectors. The operations stand in operations_rpc.cpp.
class DetectorsService final : public v1::Detectors::CallbackService {
 public:
  explicit DetectorsService(Engine& engine);

  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const v1::ListDetectorsRequest* request,
                                 v1::ListDetectorsResponse* response) override;
  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const v1::GetDetectorRequest* request,
                                v1::Detector* response) override;
  grpc::ServerUnaryReactor* Load(grpc::CallbackServerContext* context, const v1::LoadDetectorRequest* request,
                                 v1::Detector* response) override;
  grpc::ServerUnaryReactor* Activate(grpc::CallbackServerContext* context, const v1::ActivateRequest* request,
                                     v1::Detector* response) override;
  grpc::ServerUnaryReactor* RollBack(grpc::CallbackServerContext* context, const v1::RollBackRequest* request,
                                     v1::Detector* response) override;
  grpc::ServerUnaryReactor* Fit(grpc::CallbackServerContext* context, const v1::FitRequest* request,
                                v1::Operation* response) override;
  grpc::ServerUnaryReactor* GetOperation(grpc::CallbackServerContext* context, const v1::GetOperationRequest* request,
                                         v1::Operation* response) override;
  grpc::ServerWriteReactor<v1::Operation>* WatchOperation(grpc::CallbackServerContext* context,
                                                          const v1::WatchOperationRequest* request) override;
  grpc::ServerUnaryReactor* CancelOperation(grpc::CallbackServerContext* context,
                                            const v1::CancelOperationRequest* request,
                                            v1::Operation* response) override;

 private:
  const Method& Of(const char* name) const;
  Engine& engine_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_DETECTORS_SERVICE_H_
