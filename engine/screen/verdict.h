#ifndef DRIFTSEAL_ENGINE_SCREEN_VERDICT_H_
#define DRIFTSEAL_ENGINE_SCREEN_VERDICT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/detector/detector.h"
#include "engine/fingerprint/fingerprint.h"
#include "nlohmann/json.hpp"

// The only place where a verdict is made; the signals of a model's behaviour are in verdict_behaviour.h.
// docs/verdict.md is this in prose.
namespace driftseal::screen {

enum class Outcome { kPass, kReview, kQuarantine, kInconclusive };
std::string_view OutcomeName(Outcome outcome);  ///< "pass", "review", "quarantine", "inconclusive"

enum class Severity {
  kInfo,      ///< Worth reading; changes nothing.
  kUnknown,   ///< Something could not be checked: no pass.
  kConcern,   ///< A person should look: review.
  kCritical,  ///< Must not be served: quarantine.
};
std::string_view SeverityName(Severity severity);

/// One reason for a verdict, with what it rests on.
struct Signal {
  std::string kind;  ///< "digest-mismatch", "score", ... (docs/verdict.md lists them)
  Severity severity = Severity::kInfo;
  std::string text;  ///< One sentence for a person.
  nlohmann::ordered_json
      evidence;  ///< The same for a program: which hash, which feature, how far out, against how many models.
};

/// What is promised and when to act.
struct Policy {
  double alpha = 0.05;             ///< p <= alpha: review. At most this share of clean models is flagged.
  double quarantine_alpha = 0.01;  ///< p <= quarantine_alpha: quarantine.
};

struct Verdict {
  Outcome outcome = Outcome::kInconclusive;
  std::vector<Signal> signals;  ///< Worst first.
};

/// What the files themselves say: digests against the recorded ones, files that are missing, malformed or ask for code.
std::vector<Signal> IntegritySignals(const fingerprint::Fingerprint& fingerprint);
/// What the detector says: the p-value against the policy's levels, which view of the model it rests on, and what drove
/// it. `behaviour` is what running the model came to; null: it was not tried.
Signal ScoreSignal(const detector::Score& score, const detector::SchemaId& schema, const Policy& policy,
                   const fingerprint::BehaviourEvidence* behaviour = nullptr);
/// What stands out among the rows of the predictions file; informative, since it has no calibrated bound.
std::optional<Signal> PredictionSignal(const fingerprint::Fingerprint& fingerprint);

/// The worst severity decides: critical → quarantine, concern → review, unknown → inconclusive, otherwise pass.
Verdict Decide(std::vector<Signal> signals);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_VERDICT_H_
