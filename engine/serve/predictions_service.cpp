#include "engine/serve/predictions_service.h"

#include <optional>
#include <string>

#include "engine/artifact/text.h"
#include "engine/screen/fleet.h"
#include "engine/screen/retrain_plan.h"
#include "engine/screen/sanitize.h"
#include "engine/serve/pool_call.h"
#include "engine/serve/verdict_proto.h"
#include "engine/serve/verifier.h"

namespace driftseal::serve {
namespace {

using artifact::AtomicFile;
using artifact::Cat;

constexpr double kContamination = 0.05;

absl::Status SanitizeOne(const Engine& engine, const v1::SanitizeRequest& request, v1::SanitizeResponse& response) {
  const absl::StatusOr<std::string> input = CheckPath(engine, "predictions_path", request.predictions_path());
  if (!input.ok()) return input.status();
  const std::string output_path =
      request.output_path().empty() ? screen::SanitizedPath(request.predictions_path()) : request.output_path();
  const absl::StatusOr<std::string> output = CheckPath(engine, "output_path", output_path);
  if (!output.ok()) return output.status();
  const auto existing = request.overwrite() ? AtomicFile::Existing::kReplace : AtomicFile::Existing::kKeep;
  const absl::StatusOr<artifact::Source> source = engine.root.OpenFile(*input);
  if (!source.ok()) return source.status();
  // Before the work: a name that is taken or cannot be written is told at once.
  absl::StatusOr<AtomicFile> file = engine.root.CreateFile(*output, existing);
  if (!file.ok()) return file.status();
  const double contamination = request.has_contamination() ? request.contamination() : kContamination;
  const absl::StatusOr<screen::Sanitized> sanitized = screen::Sanitize(*source, contamination);
  if (!sanitized.ok()) return sanitized.status();
  if (absl::Status status = file->Write(sanitized->kept); !status.ok()) return status;
  if (absl::Status status = file->Commit(); !status.ok()) return status;
  response.set_output_path(output_path);
  response.set_rows(sanitized->rows);
  response.set_dropped(sanitized->dropped.size());
  response.set_report(
      screen::Dump(screen::ToJson(*sanitized, request.predictions_path(), output_path, contamination), 2));
  return absl::OkStatus();
}

// What a call about one model answers: a model whose meta file cannot be read is the caller's error.
struct Verified {
  screen::Result result;
  v1::Verdict verdict;
};

absl::StatusOr<Verified> VerifyOne(const Engine& engine, const std::string& meta_path, const std::string& detector) {
  if (const auto path = CheckPath(engine, "meta_path", meta_path); !path.ok()) return path.status();
  v1::VerifyRequest request;
  request.set_path(meta_path);
  request.set_detector(detector);
  request.set_want_report_entry(true);
  const absl::StatusOr<Verification> verification = Verification::Make(engine, request);
  if (!verification.ok()) return verification.status();
  Verified verified{verification->Read(), {}};
  verification->Judge(verified.result);
  verified.verdict = verification->ToProto(verified.result);
  if (!verified.result.error.ok()) return verified.result.error;
  return verified;
}

absl::Status PlanOne(const Engine& engine, const v1::RetrainPlanRequest& request, v1::RetrainPlanResponse& response) {
  absl::StatusOr<Verified> verified = VerifyOne(engine, request.meta_path(), request.detector());
  if (!verified.ok()) return verified.status();
  *response.mutable_verdict() = std::move(verified->verdict);
  const screen::RetrainPlan plan = screen::PlanRetraining(verified->result, engine.root);
  response.set_retrain(plan.retrain);
  for (const screen::Step& step : plan.steps) {
    v1::RetrainPlanResponse::Step& to = *response.add_steps();
    to.set_action(step.action);
    to.set_text(Utf8(step.text));
    for (const std::string& kind : step.because) to.add_because(kind);
    to.set_command(Utf8(step.command));
  }
  return absl::OkStatus();
}

absl::Status ScoreOne(const Engine& engine, const v1::ScoreModelRequest& request, v1::Verdict& response) {
  absl::StatusOr<Verified> verified = VerifyOne(engine, request.meta_path(), request.detector());
  if (!verified.ok()) return verified.status();
  response = std::move(verified->verdict);
  return absl::OkStatus();
}

}  // namespace

PredictionsService::PredictionsService(Engine& engine)
    : engine_(engine),
      sanitize_(engine.gate->MethodOf("Predictions", "Sanitize")),
      retrain_plan_(engine.gate->MethodOf("Predictions", "RetrainPlan")),
      score_model_(engine.gate->MethodOf("Predictions", "ScoreModel")) {}

grpc::ServerUnaryReactor* PredictionsService::Sanitize(grpc::CallbackServerContext* context,
                                                       const v1::SanitizeRequest* request,
                                                       v1::SanitizeResponse* response) {
  return RunInPool(engine_, sanitize_, context, [=, this] { return SanitizeOne(engine_, *request, *response); });
}

grpc::ServerUnaryReactor* PredictionsService::RetrainPlan(grpc::CallbackServerContext* context,
                                                          const v1::RetrainPlanRequest* request,
                                                          v1::RetrainPlanResponse* response) {
  return RunInPool(engine_, retrain_plan_, context, [=, this] { return PlanOne(engine_, *request, *response); });
}

grpc::ServerUnaryReactor* PredictionsService::ScoreModel(grpc::CallbackServerContext* context,
                                                         const v1::ScoreModelRequest* request, v1::Verdict* response) {
  return RunInPool(engine_, score_model_, context, [=, this] { return ScoreOne(engine_, *request, *response); });
}

}  // namespace driftseal::serve
