#ifndef DRIFTSEAL_ENGINE_SCREEN_SCREEN_H_
#define DRIFTSEAL_ENGINE_SCREEN_SCREEN_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/source.h"
#include "engine/canary/prober.h"
#include "engine/detector/detector.h"
#include "engine/fingerprint/fingerprint.h"
#include "engine/screen/recorded_canary.h"
#include "engine/screen/subject.h"
#include "engine/screen/verdict.h"

// One model, from its files to a verdict.
namespace driftseal::screen {

enum class Mode {
  kScore,   ///< The detector's word alone.
  kVerify,  ///< Integrity, the detector's word, and the predictions.
};

/// What screening one subject came to.
struct Result {
  std::string path, model_name;
  bool skipped = false;  ///< Not eligible, and only eligible models were asked for.
  absl::Status error;    ///< The meta file could not be read: there is no verdict.
  Verdict verdict;       ///< When error is OK.
  fingerprint::Fingerprint fingerprint;
  std::optional<detector::Score> score;
  std::optional<RecordedCanary> recorded;  ///< Where the meta file records a canary and models are run.
};

/// The row's identity, for detectors: schema, version, digest, columns.
detector::SchemaId ModelSchemaId();
/// What each of its columns is for, for detector::FitOptions::uses.
std::vector<detector::ColumnUse> ModelColumnUses();
/// The columns of a fingerprint as a detector reads them.
std::vector<double> RowOf(const fingerprint::Fingerprint& fingerprint);

struct Fingerprinted {
  std::string model_name;
  bool eligible = false;
  fingerprint::Fingerprint fingerprint;
  std::optional<RecordedCanary> recorded;
};
/// Reads one subject's files beneath `root`, and runs it where the options have a prober. An error when the meta file
/// itself cannot be used. With `only_eligible` a model that is not eligible is not run.
absl::StatusOr<Fingerprinted> FingerprintOf(const Subject& subject, const artifact::Root& root,
                                            fingerprint::Options options, bool only_eligible = false);

/// Why a model was not run, in the words of all commands and the engine.
inline constexpr char kNoReplay[] = "running models was turned off (no-replay)";

/// Whether models are run to see what they do.
struct Replaying {
  std::shared_ptr<const canary::Prober> prober;  ///< Null: files are read and nothing is run, ...
  std::string why_not;                           ///< ... for this reason, where the detector asks for more.
};

/// Screens subjects of one root with one detector; safe to share between threads.
class Screener {
 public:
  /// `detector` may be null in Mode::kVerify: integrity alone is then checked, and said to be.
  Screener(const artifact::Root* root, const detector::Detector* detector, Mode mode, Policy policy, bool only_eligible,
           Replaying replaying = {});
  Result Screen(const Subject& subject) const;
  /// Screen in two parts: what the files say, ...
  Result Read(const Subject& subject) const;
  /// ... and then the score and the verdict, unless there is an error or it is skipped.
  void Judge(Result& result) const;

 private:
  const artifact::Root* root_;
  const detector::Detector* detector_;
  Mode mode_;
  Policy policy_;
  bool only_eligible_;
  Replaying replaying_;
};

}  // namespace driftseal::screen

#endif  // DRIFTSEAL_ENGINE_SCREEN_SCREEN_H_
