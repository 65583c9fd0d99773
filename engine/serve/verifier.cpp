#include "engine/serve/verifier.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/artifact/text.h"
#include "engine/serve/monitor.h"
#include "engine/serve/replays.h"
#include "engine/serve/verdict_proto.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

constexpr size_t kPathBytes = 4096;

bool IsLevel(double level) { return level > 0 && level <= 0.5; }

absl::StatusOr<screen::Policy> PolicyOf(const Engine& engine, const v1::VerifyRequest& request) {
  screen::Policy policy{engine.options.alpha, engine.options.quarantine_alpha};
  const v1::Policy& asked = request.policy();
  if (asked.has_alpha()) policy.alpha = asked.alpha();
  if (asked.has_quarantine_alpha()) policy.quarantine_alpha = asked.quarantine_alpha();
  if (!IsLevel(policy.alpha)) {
    return absl::InvalidArgumentError(Cat("policy.alpha is ", policy.alpha, ", expected more than 0 and at most 0.5"));
  }
  if (!IsLevel(policy.quarantine_alpha)) {
    return absl::InvalidArgumentError(
        Cat("policy.quarantine_alpha is ", policy.quarantine_alpha, ", expected more than 0 and at most 0.5"));
  }
  if (policy.quarantine_alpha > policy.alpha) {
    if (asked.has_quarantine_alpha()) {
      return absl::InvalidArgumentError(Cat("policy.quarantine_alpha is ", policy.quarantine_alpha,
                                            ", expected no more than alpha, which is ", policy.alpha));
    }
    policy.quarantine_alpha = policy.alpha;  // As the command line has it.
  }
  return policy;
}

// Null where the engine has no detector at all, and none was asked for. FailedPrecondition for one that does not read
// fingerprints as they are made here: of rows that are no models, or of another version of the schema.
absl::StatusOr<std::shared_ptr<const detector::Detector>> DetectorOf(const Engine& engine,
                                                                     const v1::VerifyRequest& request) {
  if (request.detector().empty() && engine.detectors->List().empty()) {
    if (!request.score_only()) return nullptr;
    return absl::FailedPreconditionError("score_only: there is no detector to score with");
  }
  absl::StatusOr<std::shared_ptr<const detector::Detector>> detector = engine.detectors->Get(request.detector());
  if (!detector.ok()) return detector.status();
  const absl::Status fits = (*detector)->CheckSchema(screen::ModelSchemaId());
  return fits.ok() ? detector : fits;
}

}  // namespace

absl::StatusOr<std::string> CheckPath(const Engine& engine, const char* field, const std::string& path) {
  if (path.empty()) return absl::InvalidArgumentError(Cat(field, ": expected a path beneath the artifact root"));
  if (path.size() > kPathBytes) {
    return absl::InvalidArgumentError(Cat(field, ": has ", path.size(), " bytes, the limit is ", kPathBytes));
  }
  absl::StatusOr<std::string> name = engine.root.RelativeName(path);
  if (!name.ok()) return absl::Status(name.status().code(), Cat(field, ": ", name.status().message()));
  return name;
}

absl::StatusOr<screen::Replaying> ReplayingOf(const Engine& engine, const detector::Detector* detector,
                                              bool no_replay) {
  if (detector == nullptr) return screen::Replaying();
  if (no_replay) return screen::Replaying{nullptr, screen::kNoReplay};
  return engine.replays->For(engine, *detector);
}

batch::Priority ToPriority(v1::Priority priority) {
  switch (priority) {
    case v1::PRIORITY_LOW:
      return batch::Priority::kLow;
    case v1::PRIORITY_HIGH:
      return batch::Priority::kHigh;
    default:
      return batch::Priority::kNormal;
  }
}

VerifyPool::Clock::time_point PoolDeadline(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return VerifyPool::Clock::time_point::max();
  const auto left = deadline - std::chrono::system_clock::now();
  constexpr auto kLongest = std::chrono::hours(24 * 365);
  return left > kLongest ? VerifyPool::Clock::time_point::max() : VerifyPool::Clock::now() + left;
}

Verification::Verification(const Engine& engine, std::shared_ptr<const detector::Detector> detector,
                           screen::Subject subject, const screen::Policy& policy, screen::Replaying replaying,
                           const v1::VerifyRequest& request)
    : engine_(&engine),
      detector_(std::move(detector)),
      subject_(std::move(subject)),
      screener_(&engine.root, detector_.get(), request.score_only() ? screen::Mode::kScore : screen::Mode::kVerify,
                policy, request.only_eligible(), std::move(replaying)),
      entry_(request.want_report_entry()) {}

absl::StatusOr<Verification> Verification::Make(const Engine& engine, const v1::VerifyRequest& request) {
  absl::StatusOr<std::string> path = CheckPath(engine, "path", request.path());
  if (!path.ok()) return path.status();
  const absl::StatusOr<screen::Policy> policy = PolicyOf(engine, request);
  if (!policy.ok()) return policy.status();
  absl::StatusOr<std::shared_ptr<const detector::Detector>> detector = DetectorOf(engine, request);
  if (!detector.ok()) return detector.status();
  absl::StatusOr<screen::Replaying> replaying = ReplayingOf(engine, detector->get(), request.no_replay());
  if (!replaying.ok()) return replaying.status();
  const bool bare = !screen::IsMetaPath(*path);
  return Verification(engine, *std::move(detector), {*std::move(path), bare}, *policy, *std::move(replaying), request);
}

v1::Verdict Verification::ToProto(const screen::Result& result) const {
  const std::string id = detector_ ? Cat(detector_->name(), "@", detector_->version()) : "";
  engine_->monitor->Note(result, id);
  return serve::ToProto(result, id, entry_);
}

}  // namespace driftseal::serve
