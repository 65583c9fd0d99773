#ifndef DRIFTSEAL_ENGINE_SCREEN_RETRAIN_PLAN_H_
#define DRIFTSEAL_ENGINE_SCREEN_RETRAIN_PLAN_H_

#include <string>
#include <string_view>
#include <vector>

#include "engine/screen/screen.h"

// What to do about a model, from what its verification found. docs/retrain-plan.md is this file in prose.
namespace driftseal::screen {

/// One thing to do.
struct Step {
  std::string action;                ///< "restore-artifact", "retrain", ... (docs/retrain-plan.md lists them)
  std::string text;                  ///< For a person: what to do, and what that rests on.
  std::vector<std::string> because;  ///< Kinds of the signals that ask for it.
  std::string command;               ///< For a shell in the root's folder; empty where no command does it.
};

struct RetrainPlan {
  /// Whether the model is to be trained again before it is served. Not where an altered or damaged file can be replaced
  /// by the right one, and not on a review alone, which clean models get, too.
  bool retrain = false;
  std::vector<Step> steps;  ///< In order; one step "none" where nothing is to be done.
};

/// The plan for a result of Mode::kVerify. Rests on its signals alone: it finds nothing that they do not say. `root` is
/// asked where the predictions file lies.
RetrainPlan PlanRetraining(const Result& result, const artifact::Root& root);

/// `word` as one word of a POSIX shell that no command takes for an option; empty where it holds control characters,
/// which a terminal must not be shown.
std::string ShellWord(std::string_view word);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_RETRAIN_PLAN_H_
