#include "engine/screen/materialize.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "engine/artifact/model_file.h"
#include "engine/artifact/text.h"
#include "engine/canary/prober.h"
#include "engine/fingerprint/meta.h"

namespace driftseal::screen {
namespace {

using artifact::AtomicFile;
using artifact::Cat;
using artifact::Digest;
using artifact::Root;
using artifact::Source;
using replay::CanarySet;

constexpr uint64_t kMostModelBytes = uint64_t{1} << 30;
constexpr std::string_view kMetaEnding = ".meta.json", kJsonEnding = ".json", kCanaryEnding = ".canary.safetensors";

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

// "sub/net.canary.safetensors" of "sub/net.meta.json".
std::string CanaryPathOf(const std::string& meta_path) {
  std::string_view stem = meta_path;
  for (const std::string_view ending : {kMetaEnding, kJsonEnding}) {
    if (stem.ends_with(ending)) {
      stem.remove_suffix(ending.size());
      break;
    }
  }
  return Cat(stem, kCanaryEnding);
}

// A meta file and the text that it was read from.
struct MetaText {
  std::string text;
  fingerprint::ModelMeta meta;
};

absl::StatusOr<MetaText> ReadMetaText(const std::string& path, const Root& root) {
  const absl::StatusOr<Source> source = root.OpenFile(path);
  if (!source.ok()) return source.status();
  std::vector<std::byte> scratch;
  const auto bytes = source->ReadAll(fingerprint::kMetaLimitBytes, scratch);
  if (!bytes.ok()) return bytes.status();
  MetaText out{std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size()), {}};
  absl::StatusOr<fingerprint::ModelMeta> meta = fingerprint::ParseMeta(out.text, path);
  if (!meta.ok()) return meta.status();
  out.meta = *std::move(meta);
  return out;
}

// Beside the meta file, else beneath the root: as the fingerprint looks.
absl::StatusOr<Source> OpenBeside(const std::string& name, const std::string& meta_path, const Root& root) {
  const std::string folder = FolderOf(meta_path);
  if (folder.empty() || name.starts_with('/')) return root.OpenFile(name);
  absl::StatusOr<Source> beside = root.OpenFile(Cat(folder, name));
  return absl::IsNotFound(beside.status()) ? root.OpenFile(name) : std::move(beside);
}

struct Model {
  Source source;
  std::vector<std::byte> scratch;
  std::span<const std::byte> bytes;  // Of the source, or of scratch.
  Digest sha256;
  replay::ModelRuntime runtime;
};

absl::StatusOr<Model> OpenModel(const fingerprint::ModelMeta& meta, const std::string& meta_path, const Root& root) {
  if (meta.model_path.empty()) {
    return absl::InvalidArgumentError(Cat(meta_path, ": artifacts.model_path: expected the model's file, found none"));
  }
  absl::StatusOr<Source> source = OpenBeside(meta.model_path, meta_path, root);
  if (!source.ok()) return source.status();
  Model model{*std::move(source), {}, {}, {}, {}};
  const absl::StatusOr<artifact::Format> format = artifact::DetectFormat(model.source);
  if (!format.ok()) return format.status();
  const absl::StatusOr<replay::ModelRuntime> runtime = canary::RuntimeOf(*format);
  if (!runtime.ok()) return absl::UnimplementedError(Cat(model.source.name(), ": ", runtime.status().message()));
  model.runtime = *runtime;
  // What the readers refuse is not run: its loader may see something else than they looked at.
  if (const auto file = artifact::ReadModelFile(model.source); !file.ok()) return file.status();
  if (absl::Status status = artifact::VerifyChecksums(model.source); !status.ok()) return status;
  const auto bytes = model.source.ReadAll(kMostModelBytes, model.scratch);
  if (!bytes.ok()) return bytes.status();
  model.bytes = *bytes;
  model.sha256 = artifact::Sha256(model.bytes);
  if (meta.model_sha256 && *meta.model_sha256 != model.sha256) {
    return absl::FailedPreconditionError(Cat(model.source.name(), ": has SHA-256 ", model.sha256.Hex(), ", recorded ",
                                             meta.model_sha256->Hex(), ": it is not the model that was recorded"));
  }
  return model;
}

bool IsFor(const CanarySet& set, const fingerprint::ModelMeta& meta) {
  const auto fits = [](const std::string& asked, const std::string& own) {
    return asked.empty() || own.empty() || asked == own;
  };
  return fits(meta.domain, set.domain) && fits(meta.task, set.task) &&
         (!meta.inputs || meta.inputs->shape == set.shape);
}

// A set without inputs: what they are and nothing more.
std::optional<CanarySet> ShapeAlone(const fingerprint::ModelMeta& meta, const CanaryOptions& options) {
  CanarySet set;
  set.name = "generated";
  if (meta.inputs) {
    set.shape = meta.inputs->shape;
    set.image = meta.inputs->image;
    set.low = static_cast<float>(meta.inputs->low);
    set.high = static_cast<float>(meta.inputs->high);
  } else {
    set.shape = options.shape;
    set.image = options.image;
  }
  if (set.shape.empty()) return std::nullopt;
  return set;
}

absl::StatusOr<canary::CanaryFile> Run(const Model& model, const fingerprint::ModelMeta& meta, canary::ReplayPool& pool,
                                       const CanaryOptions& options) {
  std::string refused;
  const auto attempt = [&](const CanarySet& set) {
    return canary::Materialize(pool, model.bytes, model.runtime, model.sha256, set, options.materialize);
  };
  for (const CanarySet& set : options.sets) {
    if (!IsFor(set, meta)) continue;
    absl::StatusOr<canary::CanaryFile> file = attempt(set);
    if (!absl::IsInvalidArgument(file.status())) return file;
    refused += Cat(refused.empty() ? "" : "; ", set.name, ": ", file.status().message());
  }
  if (const std::optional<CanarySet> set = ShapeAlone(meta, options)) return attempt(*set);
  if (!refused.empty()) return absl::FailedPreconditionError(Cat("no data fits the model: ", refused));
  return absl::FailedPreconditionError(
      "it is not known what the model takes: neither data of its domain and task, nor a shape, nor `inputs` in its "
      "meta file");
}

absl::Status Record(const std::string& meta_path, const std::string& canary_path, const std::string& canary_bytes,
                    const MetaText& meta, const Digest& behaviour_hash, const Root& root) {
  const fingerprint::RecordedCanaries recorded = {
      canary_path.substr(FolderOf(canary_path).size()),
      artifact::Sha256(std::as_bytes(std::span(canary_bytes.data(), canary_bytes.size()))), behaviour_hash};
  const absl::StatusOr<std::string> updated = fingerprint::WithRecordedCanaries(meta.text, meta_path, recorded);
  if (!updated.ok()) return updated.status();
  // The canaries first: a meta file never names what is not there yet.
  if (absl::Status status = root.WriteFile(canary_path, canary_bytes, AtomicFile::Existing::kReplace); !status.ok()) {
    return status;
  }
  return root.WriteFile(meta_path, *updated, AtomicFile::Existing::kReplace);
}

}  // namespace

nlohmann::ordered_json ToJson(const CanaryChange& change) {
  nlohmann::ordered_json json = {{"path", change.path}, {"outcome", change.outcome}, {"detail", change.detail}};
  if (change.outcome != "written") return json;
  json["canary_path"] = change.canary_path;
  json["behaviour_hash"] = change.behaviour_hash;
  json["inputs"] = nlohmann::ordered_json::object();
  for (const auto& [kind, count] : change.inputs) json["inputs"][kind] = count;
  return json;
}

CanaryChange MaterializeCanary(const Subject& subject, const Root& root, canary::ReplayPool& pool,
                               const CanaryOptions& options) {
  CanaryChange change{subject.path, "error", "", "", "", {}};
  const auto came_to = [&](std::string outcome, std::string detail) {
    change.outcome = std::move(outcome);
    change.detail = std::move(detail);
    return change;
  };
  const auto failed = [&](const absl::Status& status) { return came_to("error", std::string(status.message())); };
  if (!subject.problem.empty()) return came_to("error", subject.problem);
  if (subject.bare)
    return came_to("skipped", "has no meta file to record canaries in (`driftseal describe` writes one)");
  const absl::StatusOr<MetaText> meta = ReadMetaText(subject.path, root);
  if (!meta.ok()) return failed(meta.status());
  if (options.only_eligible && !meta->meta.eligible.value_or(false)) return came_to("skipped", "is not eligible");
  const std::string canary_path = CanaryPathOf(subject.path);
  if (!options.overwrite) {
    if (!meta->meta.canary_path.empty()) {
      return came_to("kept", Cat("has canaries, ", meta->meta.canary_path, " (--overwrite replaces them)"));
    }
    if (root.OpenFile(canary_path).ok()) {
      return came_to("kept", Cat("there is a file ", canary_path, " (--overwrite replaces it)"));
    }
  }
  const absl::StatusOr<Model> model = OpenModel(meta->meta, subject.path, root);
  if (!model.ok()) return failed(model.status());
  const absl::StatusOr<canary::CanaryFile> file = Run(*model, meta->meta, pool, options);
  if (!file.ok()) return failed(file.status());
  if (absl::Status status = model->source.CheckUnchanged(); !status.ok()) return failed(status);
  const absl::StatusOr<std::string> bytes = canary::EncodeCanaryFile(*file);
  if (!bytes.ok()) return failed(bytes.status());
  if (absl::Status status = Record(subject.path, canary_path, *bytes, *meta, file->behaviour.hash, root);
      !status.ok()) {
    return failed(status);
  }
  change.canary_path = canary_path;
  change.behaviour_hash = file->behaviour.hash.Hex();
  std::array<size_t, 4> counts{};
  for (const canary::InputKind kind : file->kinds) ++counts[static_cast<size_t>(kind)];
  for (size_t kind = 0; kind < counts.size(); ++kind) {
    change.inputs.emplace_back(canary::KindName(static_cast<canary::InputKind>(kind)), counts[kind]);
  }
  return came_to("written", Cat(file->set.count(), " canaries of ", file->set.name));
}

}  // namespace driftseal::screen
