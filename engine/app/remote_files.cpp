#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/app/inputs.h"
#include "engine/app/json_fields.h"
#include "engine/app/remote.h"
#include "engine/app/tell.h"
#include "engine/app/terminal.h"
#include "engine/artifact/text.h"
#include "engine/screen/backfill.h"

namespace driftseal::app {
namespace {

using nlohmann::ordered_json;

std::vector<std::string> PathsBeneathRoot(const Arguments& arguments) {
  std::vector<std::string> paths;
  for (const std::string& path : arguments.paths) paths.push_back(BeneathRoot(path));
  if (paths.empty()) paths.emplace_back();
  return paths;
}

absl::Status NoReport(const Arguments& arguments) {
  return absl::InternalError(artifact::Cat("engine ", arguments.engine, ": its answer has no report"));
}

// The bar of the stage that an operation is in.
class OperationProgress {
 public:
  void Show(const Operation& operation) {
    if (operation.stage != stage_) {
      stage_ = operation.stage;
      done_ = 0;
      bar_.reset();
      if (operation.total > 0) bar_.emplace(stage_, operation.total, 0);
    }
    for (; bar_ && done_ < operation.done; ++done_) bar_->Advance();
  }

 private:
  std::string stage_;
  uint64_t done_ = 0;
  std::optional<Progress> bar_;
};

}  // namespace

int RemoteFit(const Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  absl::StatusOr<Client> client = ConnectEngine(arguments);
  if (!client.ok()) return Fail(client.status());
  FitRequest request;
  request.paths = PathsBeneathRoot(arguments);
  request.folder = request.paths.front();
  request.paths.erase(request.paths.begin());
  request.meta_glob = arguments.meta_glob;
  request.only_eligible = arguments.only_eligible;
  request.name = arguments.name;
  request.version = arguments.version;
  request.seed = arguments.seed;
  request.calibration_share = arguments.calibration_share;
  request.family_minimum = static_cast<uint32_t>(arguments.family_minimum);
  request.activate = arguments.activate;
  request.alpha = arguments.alpha;
  request.delta = arguments.delta;
  for (const std::string& path : arguments.canary) request.canary.push_back(BeneathRoot(path));
  const Result<Operation> begun = client->Fit(request);
  if (!begun.ok()) return Fail(EngineError(arguments, begun.status()));
  OperationProgress progress;
  const Result<Operation> ended =
      client->WatchOperation(begun->name, [&](const Operation& operation) { progress.Show(operation); });
  if (!ended.ok()) return Fail(EngineError(arguments, ended.status()));
  if (ended->state != Operation::State::kDone) {
    for (const std::string& model : ended->left_out) std::fprintf(stderr, "left out: %s\n", Printable(model).c_str());
    const bool stopped = ended->state == Operation::State::kCancelled;
    return Fail(stopped ? absl::CancelledError(artifact::Cat(ended->name, ": was cancelled"))
                        : absl::UnknownError(ended->error));
  }
  const ordered_json summary = ordered_json::parse(ended->report, nullptr, false);
  if (!summary.is_object()) return Fail(NoReport(arguments));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::string detector = artifact::Cat(TextOf(summary, "name"), "@", CountOf(summary, "version"));
  TellFit(arguments, summary, seconds, artifact::Cat("the engine at ", arguments.engine),
          artifact::Cat(" --engine ", arguments.engine, " --detector ", detector));
  return 0;
}

int RemoteBackfill(const Arguments& arguments) {
  absl::StatusOr<Client> client = ConnectEngine(arguments);
  if (!client.ok()) return Fail(client.status());
  std::vector<screen::Change> changes;
  bool whole = true;
  for (const std::string& path : PathsBeneathRoot(arguments)) {
    const Status status = client->Backfill(
        {path, arguments.meta_glob, arguments.only_eligible, arguments.overwrite},
        [&](const BackfillEntry& entry) {
          const ordered_json json = ordered_json::parse(entry.report_entry, nullptr, false);
          whole = whole && json.is_object();
          if (whole) changes.push_back({TextOf(json, "path"), TextOf(json, "outcome"), TextOf(json, "detail")});
        },
        WithoutLimit());
    if (!status.ok()) return Fail(EngineError(arguments, status));
  }
  if (!whole) return Fail(NoReport(arguments));
  std::stable_sort(changes.begin(), changes.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  // Of a file that lies in two of the folders the first word counts, in which it was written.
  const auto same = [](const auto& a, const auto& b) { return a.path == b.path; };
  changes.erase(std::unique(changes.begin(), changes.end(), same), changes.end());
  return TellChanges(arguments, changes, "driftseal-backfill/1");
}

int RemoteSanitize(const Arguments& arguments) {
  absl::StatusOr<Client> client = ConnectEngine(arguments);
  if (!client.ok()) return Fail(client.status());
  const Result<SanitizeResult> result = client->Sanitize(
      {arguments.paths.front(), arguments.output_path, arguments.contamination, arguments.overwrite}, WithoutLimit());
  if (!result.ok()) return Fail(EngineError(arguments, result.status()));
  const ordered_json report = ordered_json::parse(result->report, nullptr, false);
  if (!report.is_object()) return Fail(NoReport(arguments));
  TellSanitized(arguments, report);
  return 0;
}

}  // namespace driftseal::app
