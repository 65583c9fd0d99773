#ifndef DRIFTSEAL_ENGINE_SERVE_SCORING_SERVICE_H_
#define DRIFTSEAL_ENGINE_SERVE_SCORING_SERVICE_H_

#include <memory>

#include "driftseal/v1/scoring.grpc.pb.h"
#include "engine/serve/engine.h"

namespace driftseal::serve {

class ScoreCalls;

// Score and ScoreStream take their messages as bytes: a malformed one is answered as such (gRPC would say
// UNIMPLEMENTED, or take it for the end of a stream), nobody's message is parsed before the gate has let them in, and
// messages are used again and again.
using ScoringBase = v1::Scoring::WithRawCallbackMethod_Score<v1::Scoring::WithRawCallbackMethod_ScoreStream<
    v1::Scoring::WithCallbackMethod_Verify<v1::Scoring::WithCallbackMethod_VerifyStream<
        v1::Scoring::WithCallbackMethod_ListArtifacts<v1::Scoring::Service>>>>>;

/// driftseal.v1.Scoring. Each method's body stands in the file of its name.
class ScoringService final : public ScoringBase {
 public:
  explicit ScoringService(Engine& engine);
  ~ScoringService() override;

  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ScoreStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::VerifyEvent>* Verify(grpc::CallbackServerContext* context,
                                                    const v1::VerifyRequest* request) override;
  grpc::ServerBidiReactor<v1::VerifyStreamRequest, v1::VerifyStreamResponse>* VerifyStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::Artifact>* ListArtifacts(grpc::CallbackServerContext* context,
                                                        const v1::ListArtifactsRequest* request) override;

 private:
  Engine& engine_;
  const Method& verify_;
  const Method& verify_stream_;
  const Method& list_artifacts_;
  const Method& score_stream_;
  std::unique_ptr<ScoreCalls> score_calls_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_SCORING_SERVICE_H_
