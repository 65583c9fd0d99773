#ifndef DRIFTSEAL_ENGINE_SERVE_PREDICTIONS_SERVICE_H_
#define DRIFTSEAL_ENGINE_SERVE_PREDICTIONS_SERVICE_H_

#include "driftseal/v1/predictions.grpc.pb.h"
#include "engine/serve/engine.h"

namespace driftseal::serve {

/// driftseal.v1.Predictions.
class PredictionsService final : public v1::Predictions::CallbackService {
 public:
  explicit PredictionsService(Engine& engine);
  grpc::ServerUnaryReactor* Sanitize(grpc::CallbackServerContext* context, const v1::SanitizeRequest* request,
                                     v1::SanitizeResponse* response) override;
  grpc::ServerUnaryReactor* RetrainPlan(grpc::CallbackServerContext* context, const v1::RetrainPlanRequest* request,
                                        v1::RetrainPlanResponse* response) override;
  grpc::ServerUnaryReactor* ScoreModel(grpc::CallbackServerContext* context, const v1::ScoreModelRequest* request,
                                       v1::Verdict* response) override;

 private:
  Engine& engine_;
  const Method &sanitize_, &retrain_plan_, &score_model_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_PREDICTIONS_SERVICE_H_
