#ifndef DRIFTSEAL_ENGINE_SERVE_SCORING_SERVICE_H_
#define DRIFTSEAL_ENGINE_SERVE_SCORING_SERVICE_H_

#include <memory>

#include "driftseal/v1/scoring.grpc.pb.h"
#include "engine/serve/engine.h"

namespace driftseal::serve {

class ScorePool;

/// driftseal.v1.Scoring. Each method's body stands in the file of its name.
class ScoringService final : public v1::Scoring::CallbackService {
 public:
  explicit ScoringService(Engine& engine);
  ~ScoringService() override;

  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context, const v1::ScoreRequest* request,
                                  v1::ScoreResponse* response) override;
  grpc::ServerBidiReactor<v1::ScoreStreamRequest, v1::ScoreStreamResponse>* ScoreStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::VerifyEvent>* Verify(grpc::CallbackServerContext* context,
                                                    const v1::VerifyRequest* request) override;
  grpc::ServerBidiReactor<v1::VerifyStreamRequest, v1::VerifyStreamResponse>* VerifyStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::Artifact>* ListArtifacts(grpc::CallbackServerContext* context,
                                                        const v1::ListArtifactsRequest* request) override;

 private:
  Engine& engine_;
  const Method& score_;
  const Method& score_stream_;
  const Method& verify_;
  const Method& verify_stream_;
  const Method& list_artifacts_;
  std::unique_ptr<ScorePool> score_calls_;  ///< Calls of Score, used again and again.
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_SCORING_SERVICE_H_
