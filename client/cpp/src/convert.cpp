#include "client/cpp/src/convert.h"

#include <google/protobuf/util/json_util.h>

#include <bit>
#include <iterator>
#include <utility>

#include "client/cpp/src/core.h"

namespace driftseal {

const char* OutcomeName(Outcome outcome) {
  static constexpr const char* kNames[] = {"unknown",      "pass",  "review", "quarantine",
                                           "inconclusive", "error", "skipped"};
  return kNames[static_cast<size_t>(outcome)];
}

namespace internal {
namespace {

template <typename T>
std::vector<T> VectorOf(const google::protobuf::RepeatedField<T>& field) {
  return {field.begin(), field.end()};
}
std::vector<std::string> VectorOf(const google::protobuf::RepeatedPtrField<std::string>& field) {
  return {field.begin(), field.end()};
}

// What a newer engine says and this library does not know is the first of the enum.
template <typename Enum>
Enum EnumOf(int value, Enum last) {
  return value >= 0 && value <= static_cast<int>(last) ? static_cast<Enum>(value) : Enum{};
}

void AddRows(const RowsView& rows, v1::Rows& out) {
  out.set_cols(static_cast<uint32_t>(rows.cols));
  if constexpr (std::endian::native == std::endian::little) {
    out.set_float32_le(rows.data, rows.size * sizeof(float));
  } else {
    out.mutable_values()->Add(rows.data, rows.data + rows.size);
  }
}

v1::Priority ToProto(Priority priority) {
  switch (priority) {
    case Priority::kLow:
      return v1::PRIORITY_LOW;
    case Priority::kHigh:
      return v1::PRIORITY_HIGH;
    case Priority::kNormal:
      break;
  }
  return v1::PRIORITY_NORMAL;
}

ModelScore FromProto(const v1::ModelScore& score) {
  ModelScore out{score.combined(), {}, score.basis(), {}, score.fitted_on(), score.calibrated_on(), score.remark(),
                 score.view(),     {}};
  if (score.has_p_value()) out.p_value = score.p_value();
  if (score.has_out_of_range()) {
    const v1::OutOfRange& note = score.out_of_range();
    out.out_of_range = OutOfRange{note.feature(), note.value(), note.low(), note.high()};
  }
  for (const v1::MemberScore& member : score.members()) {
    out.members.push_back({member.member(), member.raw(), {}});
    if (member.has_normalised()) out.members.back().normalised = member.normalised();
  }
  return out;
}

std::chrono::system_clock::time_point TimeOf(const google::protobuf::Timestamp& time) {
  const auto since = std::chrono::seconds(time.seconds()) + std::chrono::nanoseconds(time.nanos());
  return std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(since));
}

}  // namespace

Status CheckRows(const RowsView& rows) {
  if (rows.size == 0 || (rows.cols > 0 && rows.size % rows.cols == 0)) return {};
  return InvalidArgument("rows: " + std::to_string(rows.size) + " values are no whole number of rows of " +
                         std::to_string(rows.cols) + " columns");
}

v1::ScoreRequest ToProto(const ScoreRequest& request, const RowsView& rows) {
  v1::ScoreRequest out;
  out.set_detector(request.detector);
  out.set_family(request.family);
  if (rows.cols > 0) AddRows(rows, *out.mutable_rows());
  out.mutable_fingerprints()->Assign(request.fingerprints.begin(), request.fingerprints.end());
  out.set_detail(static_cast<v1::Detail>(static_cast<int>(request.detail) + 1));
  out.set_priority(ToProto(request.priority));
  out.set_no_replay(request.no_replay);
  return out;
}

v1::VerifyRequest ToProto(const VerifyRequest& request) {
  v1::VerifyRequest out;
  out.set_path(request.path);
  out.set_detector(request.detector);
  if (request.alpha) out.mutable_policy()->set_alpha(*request.alpha);
  if (request.quarantine_alpha) out.mutable_policy()->set_quarantine_alpha(*request.quarantine_alpha);
  out.set_score_only(request.score_only);
  out.set_want_report_entry(request.want_report_entry);
  out.set_only_eligible(request.only_eligible);
  out.set_priority(ToProto(request.priority));
  out.set_no_replay(request.no_replay);
  return out;
}

v1::FitRequest ToProto(const FitRequest& request) {
  v1::FitRequest out;
  out.set_folder(request.folder);
  out.set_meta_glob(request.meta_glob);
  out.set_only_eligible(request.only_eligible);
  out.set_name(request.name);
  out.set_version(request.version);
  out.set_seed(request.seed);
  out.set_calibration_share(request.calibration_share);
  out.set_family_minimum(request.family_minimum);
  out.set_activate(request.activate);
  if (request.alpha) out.set_alpha(*request.alpha);
  if (request.delta) out.set_delta(*request.delta);
  out.mutable_paths()->Assign(request.paths.begin(), request.paths.end());
  out.mutable_canary()->Assign(request.canary.begin(), request.canary.end());
  out.set_canary_of(request.canary_of);
  return out;
}

v1::BackfillRequest ToProto(const BackfillRequest& request) {
  v1::BackfillRequest out;
  out.set_path(request.path);
  out.set_meta_glob(request.meta_glob);
  out.set_only_eligible(request.only_eligible);
  out.set_overwrite(request.overwrite);
  return out;
}

v1::SanitizeRequest ToProto(const SanitizeRequest& request) {
  v1::SanitizeRequest out;
  out.set_predictions_path(request.predictions_path);
  out.set_output_path(request.output_path);
  if (request.contamination) out.set_contamination(*request.contamination);
  out.set_overwrite(request.overwrite);
  return out;
}

ScoreResult FromProto(v1::ScoreResponse&& response) {
  ScoreResult out;
  out.detector = std::move(*response.mutable_detector());
  out.combined = VectorOf(response.combined());
  out.p_value = VectorOf(response.p_value());
  out.members = VectorOf(response.members());
  out.member_scores = VectorOf(response.member_scores());
  for (v1::RowDetail& detail : *response.mutable_details()) {
    RowDetail& row = out.details.emplace_back();
    row.remark = std::move(*detail.mutable_remark());
    for (v1::Driver& driver : *detail.mutable_drivers()) {
      row.drivers.push_back(
          {std::move(*driver.mutable_feature()), driver.value(), driver.median(), driver.robust_z(), driver.share()});
    }
  }
  return out;
}

Verdict FromProto(const v1::Verdict& verdict) {
  Verdict out;
  out.path = verdict.path();
  out.model_name = verdict.model_name();
  out.family = verdict.family();
  out.outcome = EnumOf(verdict.outcome(), Outcome::kSkipped);
  for (const v1::Signal& signal : verdict.signals()) {
    out.signals.push_back({signal.kind(), EnumOf(signal.severity(), Severity::kCritical), signal.text(), "{}"});
    if (!signal.has_evidence()) continue;
    std::string json;
    if (google::protobuf::util::MessageToJsonString(signal.evidence(), &json).ok()) {
      out.signals.back().evidence_json = std::move(json);
    }
  }
  if (verdict.has_score()) out.score = FromProto(verdict.score());
  for (const v1::FileEvidence& file : verdict.files()) {
    out.files.push_back({file.role(), file.path(), file.recorded_sha256(), file.actual_sha256(), file.error()});
  }
  out.format = verdict.format();
  out.detector = verdict.detector();
  out.error = verdict.error();
  out.report_entry = verdict.report_entry();
  return out;
}

Status FromProto(const v1::ItemError& error, const std::string& request_id) {
  Status status{EnumOf(error.code(), Code::kUnauthenticated), error.message(), request_id, {}, {}, 1};
  if (status.ok()) status.code = Code::kUnknown;  // An error it is.
  if (error.retry_after_ms() > 0) status.retry_after = std::chrono::milliseconds(error.retry_after_ms());
  return status;
}

Artifact FromProto(const v1::Artifact& artifact) { return {artifact.path(), artifact.bare(), artifact.problem()}; }

Detector FromProto(const v1::Detector& detector) {
  Detector out{detector.name(),
               detector.version(),
               detector.active(),
               detector.schema(),
               VectorOf(detector.features()),
               {},
               detector.origin(),
               detector.sha256(),
               {},
               detector.replays()};
  for (const v1::CanarySet& set : detector.canary_sets()) out.canary_sets.push_back({set.name(), set.sha256()});
  for (const v1::Family& family : detector.families()) {
    out.families.push_back(
        {family.key(), family.fitted_on(), family.calibrated_on(), family.features_used(), family.own_detector()});
  }
  return out;
}

Operation FromProto(const v1::Operation& operation) {
  Operation out;
  out.name = operation.name();
  out.state = EnumOf(operation.state(), Operation::State::kCancelled);
  out.stage = operation.stage();
  out.done = operation.done();
  out.total = operation.total();
  if (operation.has_detector()) out.detector = FromProto(operation.detector());
  out.error = operation.error();
  if (operation.has_created()) out.created = TimeOf(operation.created());
  if (operation.has_ended()) out.ended = TimeOf(operation.ended());
  out.left_out = VectorOf(operation.left_out());
  out.report = operation.report();
  return out;
}

BackfillEntry FromProto(const v1::BackfillEntry& entry) {
  return {entry.path(), EnumOf(entry.outcome(), BackfillEntry::Outcome::kError), entry.error(), entry.report_entry()};
}

SanitizeResult FromProto(const v1::SanitizeResponse& response) {
  return {response.output_path(), response.rows(), response.dropped(), response.report()};
}

RetrainPlan FromProto(const v1::RetrainPlanResponse& response) {
  RetrainPlan plan{FromProto(response.verdict()), response.retrain(), {}};
  for (const v1::RetrainPlanResponse::Step& step : response.steps()) {
    plan.steps.push_back({step.action(), step.text(), VectorOf(step.because()), step.command()});
  }
  return plan;
}

}  // namespace internal
}  // namespace driftseal
