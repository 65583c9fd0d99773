#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "engine/artifact/text.h"
#include "engine/screen/screen.h"
#include "engine/screen/subject.h"
#include "engine/serve/score_request.h"
#include "engine/serve/verifier.h"

// Score with `fingerprints`: models are scored one by one in double precision, as everywhere (decision 0008), and not
// in the batches that rows go to.
namespace driftseal::serve {
namespace {

using artifact::Cat;

// Why the model file could not be read.
absl::Status Unreadable(const fingerprint::Fingerprint& fingerprint, const std::string& path) {
  for (const fingerprint::FileEvidence& file : fingerprint.files) {
    if (file.role == "model" && !file.status.ok()) {
      return absl::Status(file.status.code(), Cat(path, ": ", file.status.message()));
    }
  }
  return absl::FailedPreconditionError(Cat(path, ": the model file could not be read"));
}

absl::StatusOr<detector::Score> ScoreOne(const Engine& engine, const detector::Detector& detector,
                                         const screen::Replaying& replaying, const std::string& path) {
  const screen::Subject subject{path, !screen::IsMetaPath(path)};
  absl::StatusOr<screen::Fingerprinted> read =
      screen::FingerprintOf(subject, engine.root, {.prober = replaying.prober.get()});
  if (!read.ok()) return read.status();
  if (read->fingerprint.family.architecture.empty()) return Unreadable(read->fingerprint, path);
  return detector.ScoreRow(screen::RowOf(read->fingerprint), read->fingerprint.family.Key());
}

// Names of all members that scored one of the models, in the order in which they first did.
std::vector<std::string> MembersOf(const std::vector<detector::Score>& scores) {
  std::vector<std::string> names;
  for (const detector::Score& score : scores) {
    for (const detector::MemberScore& member : score.members) {
      if (std::find(names.begin(), names.end(), member.member) == names.end()) names.push_back(member.member);
    }
  }
  return names;
}

void FillMembers(const std::vector<detector::Score>& scores, v1::ScoreResponse& response) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<std::string> names = MembersOf(scores);
  for (const std::string& name : names) response.add_members(name);
  for (const detector::Score& score : scores) {
    for (const std::string& name : names) {
      const auto is = [&](const detector::MemberScore& member) { return member.member == name; };
      const auto found = std::find_if(score.members.begin(), score.members.end(), is);
      response.add_member_scores(found == score.members.end() ? kNan : found->raw);
    }
  }
}

}  // namespace

absl::Status CheckFingerprints(const v1::ScoreRequest& request) {
  if (request.has_rows()) return absl::InvalidArgumentError("expected rows or fingerprints, found both");
  if (!request.family().empty()) {
    return absl::InvalidArgumentError("family: not with fingerprints, which have families of their own");
  }
  if (request.fingerprints_size() > kFingerprintsLimit) {
    return absl::InvalidArgumentError(
        Cat("fingerprints: expected at most ", kFingerprintsLimit, ", found ", request.fingerprints_size()));
  }
  return DetailOf(request).status();
}

absl::Status ScoreFingerprints(const Engine& engine, const v1::ScoreRequest& request,
                               const std::function<bool()>& cancelled, v1::ScoreResponse& response) {
  auto detector = engine.detectors->Get(request.detector());
  if (!detector.ok()) {
    return absl::Status(detector.status().code(), Cat("detector: ", detector.status().message()));
  }
  if (absl::Status schema = (*detector)->CheckSchema(screen::ModelSchemaId()); !schema.ok()) return schema;
  const absl::StatusOr<screen::Replaying> replaying = ReplayingOf(engine, detector->get(), request.no_replay());
  if (!replaying.ok()) return replaying.status();
  std::vector<detector::Score> scores;
  for (const std::string& path : request.fingerprints()) {
    if (cancelled()) return absl::CancelledError("the caller gave up");
    absl::StatusOr<detector::Score> score = ScoreOne(engine, **detector, *replaying, path);
    if (!score.ok()) {
      return absl::Status(score.status().code(), Cat("fingerprints[", scores.size(), "]: ", score.status().message()));
    }
    scores.push_back(*std::move(score));
  }
  const detector::Detail detail = *DetailOf(request);  // CheckFingerprints saw to it.
  response.set_detector(Cat((*detector)->name(), "@", (*detector)->version()));
  for (const detector::Score& score : scores) {
    response.add_combined(score.combined);
    response.add_p_value(score.p_value.value_or(std::numeric_limits<double>::quiet_NaN()));
    if (detail != detector::Detail::kDrivers) continue;
    v1::RowDetail* row = response.add_details();
    row->set_remark(score.remark);
    for (const detector::Driver& driver : score.drivers) {
      FillDriver(driver, (*detector)->schema().features, *row->add_drivers());
    }
  }
  if (detail != detector::Detail::kScores) FillMembers(scores, response);
  return absl::OkStatus();
}

}  // namespace driftseal::serve
