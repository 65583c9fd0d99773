#include "engine/serve/scoring_service.h"

#include "engine/serve/score_call.h"

namespace driftseal::serve {

ScoringService::ScoringService(Engine& engine)
    : engine_(engine),
      verify_(engine.gate->MethodOf("Scoring", "Verify")),
      verify_stream_(engine.gate->MethodOf("Scoring", "VerifyStream")),
      list_artifacts_(engine.gate->MethodOf("Scoring", "ListArtifacts")),
      score_stream_(engine.gate->MethodOf("Scoring", "ScoreStream")),
      score_calls_(std::make_unique<ScoreCalls>(engine)) {}

ScoringService::~ScoringService() = default;

}  // namespace driftseal::serve
