#include "engine/serve/verdict_proto.h"

#include <cmath>
#include <vector>

#include "engine/artifact/model_file.h"
#include "engine/artifact/text.h"
#include "engine/fingerprint/schema.h"
#include "engine/screen/fleet.h"
#include "engine/screen/report.h"

namespace driftseal::serve {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;
using nlohmann::ordered_json;

void SetValue(const ordered_json& json, Value& value);

void SetStruct(const ordered_json& json, Struct& fields) {
  if (!json.is_object()) return;
  for (const auto& [name, field] : json.items()) SetValue(field, (*fields.mutable_fields())[Utf8(name)]);
}

void SetValue(const ordered_json& json, Value& value) {
  if (json.is_object()) {
    SetStruct(json, *value.mutable_struct_value());
  } else if (json.is_array()) {
    auto& list = *value.mutable_list_value();
    for (const ordered_json& item : json) SetValue(item, *list.add_values());
  } else if (json.is_string()) {
    value.set_string_value(Utf8(json.get_ref<const std::string&>()));
  } else if (json.is_boolean()) {
    value.set_bool_value(json.get<bool>());
  } else if (json.is_number() && std::isfinite(json.get<double>())) {
    value.set_number_value(json.get<double>());
  } else {
    value.set_null_value(google::protobuf::NULL_VALUE);  // As JSON shows what is not finite.
  }
}

v1::Verdict::Outcome ToProto(screen::Outcome outcome) {
  switch (outcome) {
    case screen::Outcome::kPass:
      return v1::Verdict::OUTCOME_PASS;
    case screen::Outcome::kReview:
      return v1::Verdict::OUTCOME_REVIEW;
    case screen::Outcome::kQuarantine:
      return v1::Verdict::OUTCOME_QUARANTINE;
    case screen::Outcome::kInconclusive:
      return v1::Verdict::OUTCOME_INCONCLUSIVE;
  }
  return v1::Verdict::OUTCOME_UNSPECIFIED;
}

v1::Signal::Severity ToProto(screen::Severity severity) {
  switch (severity) {
    case screen::Severity::kInfo:
      return v1::Signal::SEVERITY_INFO;
    case screen::Severity::kUnknown:
      return v1::Signal::SEVERITY_UNKNOWN;
    case screen::Severity::kConcern:
      return v1::Signal::SEVERITY_CONCERN;
    case screen::Severity::kCritical:
      return v1::Signal::SEVERITY_CRITICAL;
  }
  return v1::Signal::SEVERITY_UNSPECIFIED;
}

const char* BasisName(detector::Basis basis) {
  switch (basis) {
    case detector::Basis::kFamily:
      return "family";
    case detector::Basis::kGlobal:
      return "global";
    case detector::Basis::kUnseenFamily:
      return "unseen-family";
  }
  return "";
}

void SetScore(const detector::Score& score, v1::ModelScore& out) {
  out.set_combined(score.combined);
  if (score.p_value) out.set_p_value(*score.p_value);
  out.set_basis(BasisName(score.basis));
  for (const detector::MemberScore& member : score.members) {
    v1::MemberScore& to = *out.add_members();
    to.set_member(member.member);
    to.set_raw(member.raw);
    if (!std::isnan(member.normalised)) to.set_normalised(member.normalised);
  }
  out.set_fitted_on(score.fitted_on);
  out.set_calibrated_on(score.calibrated_on);
  out.set_remark(Utf8(score.remark));
  out.set_view(std::string(detector::ViewName(score.view)));
  if (score.out_of_range) {
    v1::OutOfRange& to = *out.mutable_out_of_range();
    to.set_feature(fingerprint::ModelSchema().features.at(score.out_of_range->feature).name);
    to.set_value(score.out_of_range->value);
    to.set_low(score.out_of_range->low);
    to.set_high(score.out_of_range->high);
  }
}

void SetFiles(const fingerprint::Fingerprint& fingerprint, v1::Verdict& verdict) {
  for (const fingerprint::FileEvidence& file : fingerprint.files) {
    v1::FileEvidence& to = *verdict.add_files();
    to.set_role(file.role);
    to.set_path(Utf8(file.path));
    if (file.recorded) to.set_recorded_sha256(file.recorded->Hex());
    if (file.actual) to.set_actual_sha256(file.actual->Hex());
    if (!file.status.ok()) to.set_error(Utf8(std::string(file.status.message())));
  }
}

}  // namespace

std::string Utf8(std::string_view text) {
  // The report's way: both spell a name alike.
  const std::string quoted = screen::Dump(ordered_json(std::string(text)));
  return quoted.size() == text.size() + 2 ? std::string(text) : ordered_json::parse(quoted).get<std::string>();
}

v1::Verdict ToProto(const screen::Result& result, const std::string& detector, bool entry) {
  v1::Verdict verdict;
  verdict.set_path(Utf8(result.path));
  verdict.set_detector(detector);
  if (entry) verdict.set_report_entry(screen::Dump(screen::ToJson(result)));
  if (!result.error.ok()) {
    verdict.set_outcome(v1::Verdict::OUTCOME_ERROR);
    verdict.set_error(Utf8(std::string(result.error.message())));
    return verdict;
  }
  verdict.set_model_name(Utf8(result.model_name));
  verdict.set_family(Utf8(result.fingerprint.family.Key()));
  if (result.skipped) {
    verdict.set_outcome(v1::Verdict::OUTCOME_SKIPPED);
    return verdict;
  }
  verdict.set_outcome(ToProto(result.verdict.outcome));
  for (const screen::Signal& signal : result.verdict.signals) {
    v1::Signal& to = *verdict.add_signals();
    to.set_kind(signal.kind);
    to.set_severity(ToProto(signal.severity));
    to.set_text(Utf8(signal.text));
    SetStruct(signal.evidence, *to.mutable_evidence());
  }
  if (result.score) SetScore(*result.score, *verdict.mutable_score());
  SetFiles(result.fingerprint, verdict);
  if (result.fingerprint.format) {
    verdict.set_format(artifact::Cat(artifact::FormatName(*result.fingerprint.format)));
  }
  return verdict;
}

}  // namespace driftseal::serve
