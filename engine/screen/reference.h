#ifndef DRIFTSEAL_ENGINE_SCREEN_REFERENCE_H_
#define DRIFTSEAL_ENGINE_SCREEN_REFERENCE_H_

#include <functional>
#include <map>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/artifact/source.h"
#include "engine/canary/prober.h"
#include "engine/canary/set_files.h"
#include "engine/detector/detector.h"
#include "engine/screen/subject.h"
#include "nlohmann/json.hpp"

// The models that teach a detector what is normal: read, and sifted from those that must not.
namespace driftseal::screen {

/// A model that is no part of the reference, and why.
struct LeftOut {
  std::string path, reason;
};

/// Models that are part of the reference by their files alone: they could not be run.
struct NotRun {
  size_t models = 0;
  std::string example;  ///< Path of one of them.
};

struct Reference {
  std::vector<detector::Sample> samples;
  std::vector<LeftOut> left_out;
  size_t measured = 0;                    ///< Samples with behaviour.
  std::map<std::string, NotRun> not_run;  ///< By reason; of many different ones the later are counted as "other".
  double replay_seconds = 0;              ///< What running them took, summed over workers.
};

struct ReferenceOptions {
  bool only_eligible = false;  ///< Leave out models whose promotion.eligible is not true.
  unsigned threads = 1;
  std::stop_token stop = {};
  std::function<void()> progress = {};     ///< Called after each model, by one thread at a time.
  const canary::Prober* prober = nullptr;  ///< Runs the models; null: their files are read alone.
};

/// Reads every subject. One whose files are not what was recorded, or whose model cannot be read, is left out: it must
/// not become the norm. Both lists are in the subjects' order. Cancelled once `stop` asks.
absl::StatusOr<Reference> ReadReference(const artifact::Root& root, std::span<const Subject> subjects,
                                        const ReferenceOptions& options);

/// What was fitted, as docs/schemas/fit.schema.json has it, with the promise at level alpha and confidence 1 - delta.
/// `sets`: those that the models were run on.
nlohmann::ordered_json FitSummary(const detector::Detector& detector, const Reference& reference,
                                  std::span<const canary::SetFile> sets, double alpha, double delta);

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_REFERENCE_H_
