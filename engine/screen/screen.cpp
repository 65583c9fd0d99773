#include "engine/screen/screen.h"

#include <utility>
#include <vector>

#include "engine/artifact/text.h"
#include "engine/fingerprint/meta.h"
#include "engine/fingerprint/schema.h"
#include "engine/screen/verdict_behaviour.h"

namespace driftseal::screen {
namespace {

std::string Stem(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  return name.substr(0, name.rfind('.'));
}

// The canary set that the model was run on; null where it was not.
const replay::CanarySet* SetOf(const Replaying& replaying, const fingerprint::Fingerprint& fingerprint) {
  if (replaying.prober == nullptr || fingerprint.behaviour == nullptr || !fingerprint.behaviour->status.ok()) {
    return nullptr;
  }
  for (const replay::CanarySet& set : replaying.prober->sets()) {
    if (set.name == fingerprint.behaviour->set) return &set;
  }
  return nullptr;
}

std::string Folder(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

}  // namespace

detector::SchemaId ModelSchemaId() {
  const fingerprint::Schema& schema = fingerprint::ModelSchema();
  detector::SchemaId id{schema.name, schema.version, schema.digest, {}};
  for (const fingerprint::Feature& feature : schema.features) id.features.push_back(feature.name);
  return id;
}

std::vector<detector::ColumnUse> ModelColumnUses() {
  std::vector<detector::ColumnUse> uses;
  for (const fingerprint::Feature& feature : fingerprint::ModelSchema().features) {
    switch (feature.group) {
      case fingerprint::Group::kStill:
        uses.push_back(detector::ColumnUse::kStill);
        break;
      case fingerprint::Group::kBehaviour:
        uses.push_back(detector::ColumnUse::kBehaviour);
        break;
      case fingerprint::Group::kBalance:
        uses.push_back(detector::ColumnUse::kBalance);
        break;
      case fingerprint::Group::kContext:
        uses.push_back(detector::ColumnUse::kContext);
        break;
      case fingerprint::Group::kPair:
        uses.push_back(detector::ColumnUse::kPair);
        break;
      default:
        uses.push_back(detector::ColumnUse::kFiles);
    }
  }
  return uses;
}

std::vector<double> RowOf(const fingerprint::Fingerprint& fingerprint) {
  return {fingerprint.values.begin(), fingerprint.values.end()};
}

absl::StatusOr<Fingerprinted> FingerprintOf(const Subject& subject, const artifact::Root& root,
                                            fingerprint::Options options, bool only_eligible) {
  if (!subject.problem.empty()) return absl::PermissionDeniedError(artifact::Cat(subject.path, ": ", subject.problem));
  absl::StatusOr<artifact::Source> source = root.OpenFile(subject.path);
  if (!source.ok()) return source.status();
  if (subject.bare) return Fingerprinted{Stem(subject.path), true, fingerprint::FromModelFile(*source, options), {}};
  absl::StatusOr<fingerprint::ModelMeta> meta = fingerprint::ReadMeta(*source);
  if (!meta.ok()) return meta.status();
  const bool eligible = meta->eligible.value_or(false);
  if (only_eligible && !eligible) options.prober = nullptr;
  Fingerprinted read{meta->model_name, eligible, fingerprint::FromMeta(*meta, Folder(subject.path), root, options), {}};
  const auto& behaviour = read.fingerprint.behaviour;
  if (options.prober != nullptr && behaviour != nullptr && behaviour->status.ok()) {
    read.recorded = CheckRecordedCanary(*meta, Folder(subject.path), root, *read.fingerprint.format, *options.prober);
  }
  return read;
}

Screener::Screener(const artifact::Root* root, const detector::Detector* detector, Mode mode, Policy policy,
                   bool only_eligible, Replaying replaying)
    : root_(root),
      detector_(detector),
      mode_(mode),
      policy_(policy),
      only_eligible_(only_eligible),
      replaying_(std::move(replaying)) {}

Result Screener::Screen(const Subject& subject) const {
  Result result = Read(subject);
  Judge(result);
  return result;
}

Result Screener::Read(const Subject& subject) const {
  Result result;
  result.path = subject.path;
  const fingerprint::Options options{.scan_predictions = mode_ == Mode::kVerify, .prober = replaying_.prober.get()};
  absl::StatusOr<Fingerprinted> read = FingerprintOf(subject, *root_, options, only_eligible_);
  if (!read.ok()) {
    result.error = read.status();
    return result;
  }
  result.model_name = std::move(read->model_name);
  result.fingerprint = std::move(read->fingerprint);
  result.recorded = std::move(read->recorded);
  result.skipped = only_eligible_ && !read->eligible;
  return result;
}

void Screener::Judge(Result& result) const {
  if (!result.error.ok() || result.skipped) return;
  const fingerprint::Fingerprint& fingerprint = result.fingerprint;
  std::vector<Signal> signals;
  if (mode_ == Mode::kVerify) {
    signals = IntegritySignals(fingerprint);
    if (std::optional<Signal> scan = PredictionSignal(fingerprint)) signals.push_back(*std::move(scan));
  }
  if (fingerprint.family.architecture.empty()) {
    signals.push_back({"not-scored", Severity::kUnknown, "not scored: the model file could not be read", {}});
  } else if (detector_ == nullptr) {
    signals.push_back(
        {"no-detector", Severity::kUnknown, "no detector was fitted: only the files' integrity was checked", {}});
  } else {
    const bool reads_behaviour = detector_->ReadsBehaviour(fingerprint.family.Key());
    absl::StatusOr<detector::Score> score = detector_->ScoreRow(RowOf(fingerprint), fingerprint.family.Key());
    if (score.ok()) {
      signals.push_back(ScoreSignal(*score, detector_->schema(), policy_, fingerprint.behaviour.get()));
      result.score = *std::move(score);
    } else {
      signals.push_back({"not-scored", Severity::kUnknown, std::string(score.status().message()), {}});
    }
    if (std::optional<Signal> not_run = NotRunSignal(fingerprint, reads_behaviour, replaying_.why_not)) {
      signals.push_back(*std::move(not_run));
    }
  }
  if (result.recorded && mode_ == Mode::kVerify) signals.push_back(RecordedCanarySignal(*result.recorded));
  const replay::CanarySet* set = SetOf(replaying_, fingerprint);
  if (set != nullptr) {
    if (std::optional<Signal> test = TriggerSignal(*fingerprint.behaviour, *set)) {
      ExplainAlarm(*test, signals);
      signals.push_back(*std::move(test));
    }
  }
  result.verdict = Decide(std::move(signals));
  if (set != nullptr) AddPicture(*fingerprint.behaviour, *set, result.verdict);
}

}  // namespace driftseal::screen
