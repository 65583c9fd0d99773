#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "engine/app/commands.h"
#include "engine/app/inputs.h"
#include "engine/app/remote.h"
#include "engine/app/tell.h"
#include "engine/app/terminal.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/screen/backfill.h"
#include "engine/screen/fleet.h"
#include "engine/screen/screen.h"

namespace driftseal::app {
namespace {

namespace fs = std::filesystem;
using fingerprint::FileEvidence;
using nlohmann::ordered_json;
using screen::Change;

Change Backfill(const Inputs& inputs, const screen::Subject& subject, const Arguments& arguments) {
  return screen::Backfill(subject, inputs.root, {arguments.only_eligible, arguments.overwrite});
}

// Whether JSON can hold the name: it holds UTF-8, and a file's name may be any bytes.
bool IsUtf8(const std::string& text) { return ordered_json::parse(screen::Dump(text)) == text; }

// The meta file of a bare model: its name, where it lies, its format and its digest.
ordered_json MetaOf(const screen::Subject& subject, const screen::Fingerprinted& read, const FileEvidence& model,
                    const std::string& meta_name) {
  ordered_json meta = {
      {"model_name", read.model_name},
      {"artifacts", {{"metadata_path", meta_name}, {"model_path", fs::path(subject.path).filename().string()}}}};
  if (read.fingerprint.format) meta["framework"] = artifact::FormatName(*read.fingerprint.format);
  const auto parameters = read.fingerprint.covariates.find("parameters");
  if (parameters != read.fingerprint.covariates.end()) meta["training"] = {{"parameters", parameters->second}};
  meta["fingerprint"] = {{"model_sha256", model.actual->Hex()}};
  return meta;
}

Change DescribeOne(const Inputs& inputs, const screen::Subject& subject, const Arguments& arguments) {
  const std::string meta_path = artifact::Cat(inputs.root.path(), "/", subject.path, ".meta.json");
  Change change{subject.path, "error", ""};
  std::error_code error;
  if (fs::exists(meta_path, error) && !arguments.overwrite) {
    return change.outcome = "skipped", change.detail = "has a meta file (--overwrite replaces it)", change;
  }
  if (!IsUtf8(subject.path)) {
    return change.detail = "the file's name is not UTF-8: a meta file, which is JSON, cannot name it", change;
  }
  absl::StatusOr<screen::Fingerprinted> read = screen::FingerprintOf(subject, inputs.root, {});
  if (!read.ok()) return change.detail = std::string(read.status().message()), change;
  const FileEvidence& model = read->fingerprint.files.front();
  if (!model.actual || !model.status.ok()) return change.detail = std::string(model.status.message()), change;
  const ordered_json meta = MetaOf(subject, *read, model, fs::path(meta_path).filename().string());
  if (absl::Status status = artifact::WriteFileAtomically(meta_path, screen::Dump(meta, 2) + "\n"); !status.ok()) {
    return change.detail = std::string(status.message()), change;
  }
  return change.outcome = "written", change.detail = fs::path(meta_path).filename().string(), change;
}

// With --overwrite a model beside its NAME.meta.json is described again.
void AddDescribed(Inputs& inputs) {
  constexpr std::string_view kEnding = ".meta.json";
  for (screen::Subject& subject : inputs.subjects) {
    if (subject.bare || !screen::IsMetaPath(subject.path)) continue;
    std::string model = subject.path.substr(0, subject.path.size() - kEnding.size());
    std::error_code error;
    if (fs::is_regular_file(artifact::Cat(inputs.root.path(), "/", model), error)) subject = {std::move(model), true};
  }
}

template <class Function>
int ForEach(const Arguments& arguments, bool bare, const char* format, Function function) {
  absl::StatusOr<Inputs> inputs = FindInputs(arguments);
  if (!inputs.ok()) return Fail(inputs.status());
  if (bare && arguments.overwrite) AddDescribed(*inputs);
  std::vector<Change> changes;
  Progress progress("files", inputs->subjects.size(), 0);
  for (const screen::Subject& subject : inputs->subjects) {
    if (subject.bare == bare) changes.push_back(function(*inputs, subject, arguments));
    progress.Advance();
  }
  return TellChanges(arguments, changes, format);
}

}  // namespace

int BackfillHashes(const Arguments& arguments) {
  if (!arguments.engine.empty()) return RemoteBackfill(arguments);
  return ForEach(arguments, false, "driftseal-backfill/1", Backfill);
}

int Describe(const Arguments& arguments) { return ForEach(arguments, true, "driftseal-describe/1", DescribeOne); }

}  // namespace driftseal::app
