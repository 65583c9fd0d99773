#include "engine/fingerprint/fingerprint.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <thread>

#include "engine/artifact/text.h"
#include "engine/fingerprint/behaviour.h"
#include "engine/fingerprint/columns.h"
#include "engine/fingerprint/prediction_features.h"
#include "engine/fingerprint/row.h"
#include "engine/fingerprint/tensor_features.h"
#include "engine/fingerprint/tree_features.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
using artifact::Digest;
using artifact::Root;
using artifact::Source;

constexpr uint64_t kHashInParallelFrom = 8u << 20;  // Bytes; below it a thread costs more than it saves.
constexpr size_t kOpenTogether = 4;                 // Related files held open, and in memory, at a time.

void MissModel(Row& row, std::string_view reason) {
  row.Miss(kMetaFirst + kModelBytes, kMetaColumns - kModelBytes, reason);
  row.Miss(kSpectralFirst, kColumns - kSpectralFirst, reason);
}

void MetaFeatures(const ModelMeta& meta, Row& row) {
  const auto set = [&row](MetaColumn column, const std::optional<double>& value, std::string_view field) {
    if (value) return row.Set(kMetaFirst + column, *value);
    row.Miss(kMetaFirst + column, 1, Cat("the meta file has no ", field));
  };
  // training.seconds follows the load of the machine that trained, so it is a covariate and no column.
  const auto log1p = [](const std::optional<double>& value) {
    return value ? std::optional(std::log1p(*value)) : std::nullopt;
  };
  const auto difference = [](const std::optional<double>& a, const std::optional<double>& b) {
    return a && b ? std::optional(*a - *b) : std::nullopt;
  };
  set(kPrimary, meta.primary, "promotion.primary");
  set(kBaseline, meta.baseline, "promotion.baseline");
  set(kPrimaryGain, difference(meta.primary, meta.baseline), "promotion.primary and promotion.baseline");
  set(kDeclaredParameters, log1p(meta.parameter_count), "training.parameters");
  set(kTrainingSamples, log1p(meta.training_samples), "training.samples");
  set(kFinalLoss, meta.final_loss, "training.final_loss");
  set(kTrainScore, meta.train_score, "training.score");
  set(kGeneralisationGap, difference(meta.train_score, meta.primary), "training.score and promotion.primary");
}

std::map<std::string, double> Covariates(const ModelMeta& meta) {
  std::map<std::string, double> covariates = meta.recipe;
  if (meta.training_seconds) covariates.emplace("training_seconds", *meta.training_seconds);
  if (meta.training_samples) covariates.emplace("training_samples", *meta.training_samples);
  return covariates;
}

absl::Status TensorModel(const Source& source, const artifact::TensorTable& table,
                         const std::optional<double>& declared, Row& row) {
  const double counted = CountParameters(table);
  row.Set(kMetaFirst + kTensorCount, static_cast<double>(table.tensors.size()));
  row.Set(kMetaFirst + kCountedParameters, std::log1p(counted));
  if (declared) {
    row.Set(kMetaFirst + kParameterMismatch, std::log1p(counted) - std::log1p(*declared));
  } else {
    row.Miss(kMetaFirst + kParameterMismatch, 1, "the meta file has no training.parameters");
  }
  row.Miss(kTreesFirst, kTreeColumns, "the model is not made of trees");
  return FillTensorFeatures(source, table, row);
}

absl::Status TreeModel(const artifact::Booster& booster, Row& row) {
  const std::string_view reason = "the model is made of trees and has no tensors";
  row.Miss(kMetaFirst + kTensorCount, kMetaColumns - kTensorCount, reason);
  row.Miss(kSpectralFirst, kTreesFirst - kSpectralFirst, reason);
  return FillTreeFeatures(booster, row);
}

void MissBehaviour(Row& row, std::string_view reason) { row.Miss(kStillFirst, kColumns - kStillFirst, reason); }

// What the model does when it is run, where somebody is there to run it.
void Behaviour(const Source& source, artifact::Format format, const Options& options, Fingerprint& out, Row& row) {
  if (options.prober == nullptr) return MissBehaviour(row, "the model was not run");
  auto evidence = std::make_shared<BehaviourEvidence>();
  auto measured = options.prober->Measure(source, format, out.family.domain, out.family.task);
  evidence->status = measured.status();
  if (measured.ok()) {
    size_t column = kStillFirst;
    for (const std::vector<double>& part : BehaviourFeatures(measured->behaviour, *measured->set)) {
      for (const double value : part) row.Set(column++, value);
    }
    evidence->set = measured->set->name;
    evidence->set_inputs = measured->set->count();
    evidence->raw = std::move(measured->behaviour);
  } else {
    MissBehaviour(row, ReasonOf(measured.status()));
  }
  out.behaviour = std::move(evidence);
}

// Everything that comes from the model file, but for its digest. The error is for the file's evidence.
absl::Status ModelFeatures(const Source& source, const std::optional<double>& declared, const Options& options,
                           Fingerprint& out, Row& row) {
  const auto model = artifact::ReadModelFile(source);
  if (!model.ok()) {
    MissModel(row, ReasonOf(model.status()));
    return model.status();
  }
  uint64_t bytes = source.size();
  absl::Status status;
  if (const auto* table = std::get_if<artifact::TensorTable>(&model->content)) {
    bytes = table->member_bytes.value_or(bytes);
    status = TensorModel(source, *table, declared, row);
  } else {
    status = TreeModel(std::get<artifact::Booster>(model->content), row);
  }
  row.Set(kMetaFirst + kModelBytes, std::log1p(static_cast<double>(bytes)));
  // A torch archive keeps checksums that no loader looks at: weights edited in place show without any recorded digest.
  if (status.ok()) status = artifact::VerifyChecksums(source);
  if (const absl::Status unchanged = source.CheckUnchanged(); !unchanged.ok()) {
    MissModel(row, ReasonOf(unchanged));
    return unchanged;
  }
  out.format = model->format;
  out.family.architecture = artifact::ArchitectureDigest(*model).Hex().substr(0, 16);
  // A file that breaks its format's rules is not run: its loader may read something else than was looked at here.
  if (status.ok()) {
    Behaviour(source, model->format, options, out, row);
  } else {
    MissBehaviour(row, ReasonOf(status));
  }
  if (status.ok() || ReasonOf(status).find(source.name()) != std::string_view::npos) return status;
  return absl::Status(status.code(), Cat(source.name(), ": ", status.message()));
}

absl::Status PredictionFeatures(const Source& source, std::string_view task, const Options& options, Fingerprint& out,
                                Row& row) {
  const auto table = ReadCsv(source);
  if (!table.ok()) {
    row.Miss(kPredictionsFirst, kPredictionColumns, ReasonOf(table.status()));
    return table.status();
  }
  FillPredictionFeatures(*table, task, row);
  if (!options.scan_predictions) return absl::OkStatus();
  auto scan = ScanPredictions(*table);
  // A file without anything to compare is no fault of the file.
  if (scan.ok()) out.scan = *std::move(scan);
  return absl::OkStatus();
}

// Finds artifacts by the names that a meta file gives them, and nothing outside of the root.
class Finder {
 public:
  Finder(const Root& root, std::string_view meta_directory) : root_(root), directory_(meta_directory) {
    std::string_view root_path = root.path();
    while (root_path.ends_with("/")) root_path.remove_suffix(1);
    if (directory_ == root_path) directory_ = "";
    if (directory_.starts_with(Cat(root_path, "/"))) directory_.remove_prefix(root_path.size() + 1);
    while (directory_.starts_with("./")) directory_.remove_prefix(2);
    while (directory_.ends_with("/")) directory_.remove_suffix(1);
    if (directory_ == ".") directory_ = "";
  }
  absl::StatusOr<Source> Open(const std::string& name) const {
    if (directory_.empty() || name.starts_with("/")) return root_.OpenFile(name);
    auto beside = root_.OpenFile(Cat(directory_, "/", name));
    return absl::IsNotFound(beside.status()) ? root_.OpenFile(name) : std::move(beside);
  }

 private:
  const Root& root_;
  std::string_view directory_;
};

std::optional<Source> OpenInto(const Finder& finder, FileEvidence& evidence) {
  auto source = finder.Open(evidence.path);
  if (source.ok()) return *std::move(source);
  evidence.status = source.status();
  return std::nullopt;
}

// Hashes the sources that are there, several at once where they are large.
void HashInto(std::span<const std::optional<Source>* const> sources, std::span<FileEvidence* const> evidence) {
  std::vector<const Source*> open;
  std::vector<FileEvidence*> theirs;
  uint64_t bytes = 0;
  for (size_t i = 0; i < sources.size(); ++i) {
    if (!sources[i]->has_value()) continue;
    open.push_back(&**sources[i]);
    theirs.push_back(evidence[i]);
    bytes += open.back()->size();
  }
  const unsigned threads = bytes >= kHashInParallelFrom ? std::max(1u, std::thread::hardware_concurrency()) : 1;
  const auto digests = artifact::Sha256All(open, threads);
  for (size_t i = 0; i < open.size(); ++i) {
    if (digests[i].ok()) {
      theirs[i]->actual = *digests[i];
    } else {
      theirs[i]->status = digests[i].status();
    }
  }
}

void RelatedFiles(const ModelMeta& meta, const Finder& finder, Fingerprint& out) {
  for (size_t from = 0; from < meta.related_paths.size(); from += kOpenTogether) {
    const size_t count = std::min(kOpenTogether, meta.related_paths.size() - from);
    std::vector<std::optional<Source>> sources(count);
    std::vector<FileEvidence> evidence(count);
    std::vector<const std::optional<Source>*> source_of;
    std::vector<FileEvidence*> evidence_of;
    for (size_t i = 0; i < count; ++i) {
      evidence[i] = {"related", meta.related_paths[from + i], std::nullopt, std::nullopt, absl::OkStatus()};
      const auto recorded = meta.related_sha256.find(evidence[i].path);
      if (recorded != meta.related_sha256.end()) evidence[i].recorded = recorded->second;
      sources[i] = OpenInto(finder, evidence[i]);
      source_of.push_back(&sources[i]);
      evidence_of.push_back(&evidence[i]);
    }
    HashInto(source_of, evidence_of);
    std::move(evidence.begin(), evidence.end(), std::back_inserter(out.files));
  }
}

// An error of the file on disk outweighs what parsing said about bytes that may not be its own.
void Keep(const absl::Status& status, FileEvidence& evidence) {
  if (evidence.status.ok()) evidence.status = status;
}

}  // namespace

std::string Family::Key() const {
  const auto part = [](const std::string& text) {
    std::string out = text.empty() ? "-" : text;
    std::replace(out.begin(), out.end(), '/', '_');
    return out;
  };
  return Cat(part(domain), "/", part(task), "/", part(architecture));
}

Fingerprint FromMeta(const ModelMeta& meta, const std::string& meta_directory, const Root& root,
                     const Options& options) {
  Fingerprint out;
  out.family.domain = meta.domain;
  out.family.task = meta.task;
  out.covariates = Covariates(meta);
  Row row(kColumns);
  MetaFeatures(meta, row);

  const Finder finder(root, meta_directory);
  FileEvidence model{"model", meta.model_path, meta.model_sha256, std::nullopt, absl::OkStatus()};
  FileEvidence predictions{"predictions", meta.predictions_path, meta.predictions_sha256, std::nullopt,
                           absl::OkStatus()};
  FileEvidence canary{"canary", meta.canary_path, meta.canary_sha256, std::nullopt, absl::OkStatus()};
  std::optional<Source> model_source, predictions_source, canary_source;
  if (!meta.model_path.empty()) model_source = OpenInto(finder, model);
  if (!meta.predictions_path.empty()) predictions_source = OpenInto(finder, predictions);
  if (!meta.canary_path.empty()) canary_source = OpenInto(finder, canary);
  HashInto(std::array<const std::optional<Source>*, 3>{&model_source, &predictions_source, &canary_source},
           std::array<FileEvidence*, 3>{&model, &predictions, &canary});

  if (model_source) {
    Keep(ModelFeatures(*model_source, meta.parameter_count, options, out, row), model);
  } else {
    MissModel(row, meta.model_path.empty() ? std::string_view("the meta file has no artifacts.model_path")
                                           : ReasonOf(model.status));
  }
  if (predictions_source) {
    Keep(PredictionFeatures(*predictions_source, meta.task, options, out, row), predictions);
  } else {
    row.Miss(kPredictionsFirst, kPredictionColumns,
             meta.predictions_path.empty() ? std::string_view("the meta file has no artifacts.predictions_path")
                                           : ReasonOf(predictions.status));
  }
  if (!meta.model_path.empty()) out.files.push_back(std::move(model));
  if (!meta.predictions_path.empty()) out.files.push_back(std::move(predictions));
  if (!meta.canary_path.empty()) out.files.push_back(std::move(canary));
  RelatedFiles(meta, finder, out);
  std::move(row).Finish(out);
  return out;
}

Fingerprint FromModelFile(const Source& model, const Options& options) {
  Fingerprint out;
  Row row(kColumns);
  const std::string_view reason = "the model has no meta file";
  row.Miss(kMetaFirst, kMetaColumns, reason);
  row.Miss(kPredictionsFirst, kPredictionColumns, reason);
  FileEvidence evidence{"model", model.name(), std::nullopt, std::nullopt, absl::OkStatus()};
  const auto digest = artifact::Sha256(model);
  if (digest.ok()) {
    evidence.actual = *digest;
  } else {
    evidence.status = digest.status();
  }
  Keep(ModelFeatures(model, std::nullopt, options, out, row), evidence);
  out.files.push_back(std::move(evidence));
  std::move(row).Finish(out);
  return out;
}

}  // namespace driftseal::fingerprint
