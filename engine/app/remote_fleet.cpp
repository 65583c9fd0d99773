#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/app/inputs.h"
#include "engine/app/remote.h"
#include "engine/app/replaying.h"
#include "engine/app/report_run.h"
#include "engine/artifact/text.h"
#include "engine/screen/report.h"

namespace driftseal::app {
namespace {

using nlohmann::ordered_json;

// 32 hexadecimal digits that no other run has.
std::string RunId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += absl::StrFormat("%08x", random());
  return id;
}

// What the engine finds in the folders and files of the arguments.
absl::StatusOr<std::vector<screen::Subject>> ListSubjects(const Arguments& arguments, const Client& client) {
  std::vector<std::string> paths = arguments.paths;
  if (paths.empty()) paths.push_back(".");
  std::vector<screen::Subject> subjects;
  for (const std::string& path : paths) {
    Result<std::vector<Artifact>> found = client.ListArtifacts(BeneathRoot(path), arguments.meta_glob, WithoutLimit());
    if (!found.ok()) return EngineError(arguments, found.status());
    for (Artifact& artifact : *found) {
      subjects.push_back({std::move(artifact.path), artifact.bare, std::move(artifact.problem)});
    }
  }
  Settle(subjects);
  if (subjects.empty()) return NothingFound(".", arguments);
  return subjects;
}

// Asks for verdicts over one stream and puts them into the order of the subjects.
class RemoteFleet {
 public:
  RemoteFleet(const Arguments& arguments, screen::Mode mode, std::string detector,
              const std::vector<screen::Subject>& subjects, size_t first, VerifyStream stream)
      : arguments_(arguments), subjects_(subjects), next_(first), sent_(first), stream_(std::move(stream)) {
    request_.detector = std::move(detector);
    request_.alpha = arguments.alpha;
    request_.quarantine_alpha = arguments.quarantine_alpha;
    request_.score_only = mode == screen::Mode::kScore;
    request_.want_report_entry = true;
    request_.only_eligible = arguments.only_eligible;
    request_.no_replay = arguments.no_replay;
  }

  absl::StatusOr<std::optional<screen::Entry>> Next() {
    if (next_ == subjects_.size()) {
      stream_.Finish();
      stream_.Next();  // Ends the call in order.
      return std::nullopt;
    }
    for (;;) {
      if (absl::Status status = Fill(); !status.ok()) return status;
      if (auto entry = waiting_.extract(next_); !entry.empty()) {
        ++next_;
        return std::move(entry.mapped());
      }
      std::optional<VerifyAnswer> answer = stream_.Next();
      if (!answer) return EngineError(arguments_, stream_.status());
      if (absl::Status status = Take(*std::move(answer)); !status.ok()) return status;
    }
  }

 private:
  // As many verdicts may wait for an earlier one that takes long (a big model among small ones).
  static constexpr size_t kWindow = 1024;

  absl::Status Fill() {
    for (; sent_ < subjects_.size() && sent_ < next_ + kWindow; ++sent_) {
      const screen::Subject& subject = subjects_[sent_];
      if (!subject.problem.empty()) {
        waiting_.emplace(sent_, ProblemEntry(subject));
        continue;
      }
      request_.path = subject.path;
      const std::optional<Status> sent = stream_.TrySend(std::to_string(sent_), request_);
      if (!sent) return absl::OkStatus();
      if (!sent->ok()) return EngineError(arguments_, *sent);
    }
    return absl::OkStatus();
  }

  // A folder that cannot be searched, as Screener tells it.
  static screen::Entry ProblemEntry(const screen::Subject& subject) {
    screen::Result result;
    result.path = subject.path;
    result.error = absl::PermissionDeniedError(artifact::Cat(subject.path, ": ", subject.problem));
    return {"error", screen::Dump(screen::ToJson(result))};
  }

  absl::Status Take(VerifyAnswer answer) {
    if (!answer.status.ok()) return EngineError(arguments_, answer.status);
    const size_t index = std::stoull(answer.id);  // One of ours: the stream gives back no other.
    ordered_json entry = ordered_json::parse(answer.verdict.report_entry, nullptr, false);
    const bool fits = entry.is_object() && entry.value("path", ordered_json()) == subjects_[index].path &&
                      entry.value("verdict", ordered_json()).is_string();
    if (!fits) {
      return absl::InternalError(artifact::Cat("engine ", arguments_.engine, ": its verdict about ",
                                               subjects_[index].path, " has no report entry"));
    }
    std::string verdict = entry["verdict"];
    waiting_.emplace(index, screen::Entry{std::move(verdict), screen::Dump(entry)});
    return absl::OkStatus();
  }

  const Arguments& arguments_;
  const std::vector<screen::Subject>& subjects_;
  VerifyRequest request_;
  size_t next_, sent_;
  std::map<size_t, screen::Entry> waiting_;
  VerifyStream stream_;
};

}  // namespace

int RemoteScreenAll(const Arguments& arguments, const FleetCommand& command,
                    std::chrono::steady_clock::time_point start) {
  absl::StatusOr<Client> client = ConnectEngine(arguments);
  if (!client.ok()) return Fail(client.status());
  absl::StatusOr<std::vector<screen::Subject>> subjects = ListSubjects(arguments, *client);
  if (!subjects.ok()) return Fail(subjects.status());
  const Result<Detector> detector = client->GetDetector(arguments.detector);
  const bool without =
      detector.status().code == Code::kNotFound && arguments.detector.empty() && command.mode == screen::Mode::kVerify;
  if (!detector.ok() && !without) return Fail(EngineError(arguments, detector.status()));
  FleetSource source;
  std::string pinned;  // The whole report is one version's, whatever is activated meanwhile.
  if (!without) {
    source.detector = DetectorJson(detector->name, detector->version, detector->schema, detector->sha256);
    if (detector->replays && !arguments.no_replay) {
      std::vector<canary::SetId> sets;
      for (const CanarySet& set : detector->canary_sets) sets.push_back({set.name, set.sha256});
      source.replay = ReplayJson(sets);
    }
    pinned = artifact::Cat(detector->name, "@", detector->version);
  }
  source.root = ".";
  source.subjects = *std::move(subjects);
  source.where = artifact::Cat("the engine at ", arguments.engine);
  source.begin = [&](size_t first) -> NextEntry {
    VerifyStreamOptions options;
    // A verdict that is asked for again after a broken connection is the same one. Later runs look at the files anew.
    options.run = artifact::Cat(command.name, "-", RunId());
    auto fleet = std::make_shared<RemoteFleet>(arguments, command.mode, pinned, source.subjects, first,
                                               client->OpenVerifyStream(options));
    return [fleet] { return fleet->Next(); };
  };
  return RunReport(arguments, command, source, start);
}

}  // namespace driftseal::app
