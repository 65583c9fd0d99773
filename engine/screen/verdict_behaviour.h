#ifndef DRIFTSEAL_ENGINE_SCREEN_VERDICT_BEHAVIOUR_H_
#define DRIFTSEAL_ENGINE_SCREEN_VERDICT_BEHAVIOUR_H_

#include <optional>
#include <string_view>
#include <vector>

#include "engine/fingerprint/fingerprint.h"
#include "engine/replay/protocol/behaviour.h"
#include "engine/screen/verdict.h"

// The part of verdict.h that speaks of what a model does when it is run.
namespace driftseal::screen {

/// The trigger test ("collapse or spike"): under which trigger most canary inputs of other classes collapse into one
/// class, and how far the other classes get. For a person to see; the detector's score decides. Nothing where no
/// trigger was tried.
std::optional<Signal> TriggerSignal(const fingerprint::BehaviourEvidence& behaviour, const replay::CanarySet& set);

/// Puts what a trigger test found into words where the score alarms and most inputs collapsed: what a person
/// understands beside what the detector measured.
void ExplainAlarm(const Signal& test, std::vector<Signal>& signals);

/// Adds to the trigger test of a verdict that is no pass what the trigger looks like: a picture of one input with and
/// without it, or the columns that it sets. Of passes there are too many to carry pictures.
void AddPicture(const fingerprint::BehaviourEvidence& behaviour, const replay::CanarySet& set, Verdict& verdict);

/// That the model was not run, where that matters. `reads_behaviour`: the family's detector judges by behaviour.
/// `why_not`: why no model is run here; empty where models are.
std::optional<Signal> NotRunSignal(const fingerprint::Fingerprint& fingerprint, bool reads_behaviour,
                                   std::string_view why_not);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_VERDICT_BEHAVIOUR_H_
