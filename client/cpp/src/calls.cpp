#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/generic/generic_stub.h>

#include <utility>

#include "client/cpp/src/convert.h"
#include "client/cpp/src/core.h"
#include "driftseal/client.h"

namespace driftseal {

using internal::FromProto;
using internal::ToProto;
using internal::Unary;

namespace {

// Reads a stream of the engine's to its end, attempt by attempt: `begin` starts it, `again` hears that it begins anew,
// `each` takes a message.
template <typename Message, typename Begin, typename Again, typename Each>
Status ReadAll(internal::Attempts& attempts, Begin begin, Again again, Each each) {
  return internal::Call(attempts, [&](grpc::ClientContext& context) {
    again();
    const std::unique_ptr<grpc::ClientReader<Message>> reader = begin(&context);
    Message message;
    while (reader->Read(&message)) each(message);
    return reader->Finish();
  });
}

Status Truncated(const internal::Attempts& attempts, const char* what) {
  return {
      Code::kInternal, std::string("the engine ended its answer without ") + what, attempts.request_id(), {}, {}, 1};
}

}  // namespace

Result<Client> Client::Create(const ClientOptions& options) {
  Result<std::shared_ptr<internal::Core>> core = internal::Core::Create(options);
  if (!core.ok()) return core.status();
  return Client(*std::move(core));
}

Status Client::WaitForConnection(std::chrono::milliseconds timeout) const {
  if (core_->channel->WaitForConnected(internal::Clock::now() + timeout)) return {};
  return {Code::kUnavailable, core_->options.address + ": no connection", {}, {}, {}, 0};
}

Result<Verdict> Client::Verify(const VerifyRequest& request, const std::function<void(Stage)>& progress,
                               const CallOptions& options) const {
  internal::Attempts attempts(*core_, options, true, core_->options.timeout);
  const v1::VerifyRequest message = ToProto(request);
  std::optional<Verdict> verdict;
  Status status = ReadAll<v1::VerifyEvent>(
      attempts, [&](grpc::ClientContext* context) { return core_->scoring->Verify(context, message); },
      [&] { verdict.reset(); },
      [&](const v1::VerifyEvent& event) {
        if (event.has_verdict()) {
          verdict = FromProto(event.verdict());
        } else if (progress && event.has_progress()) {
          const int stage = event.progress().stage();
          progress(stage > 0 && stage <= static_cast<int>(Stage::kScoring) ? static_cast<Stage>(stage)
                                                                           : Stage::kUnspecified);
        }
      });
  if (!status.ok()) return status;
  if (!verdict) return Truncated(attempts, "a verdict");
  return *std::move(verdict);
}

Result<std::vector<Artifact>> Client::ListArtifacts(const std::string& folder, const std::string& meta_glob,
                                                    const CallOptions& options) const {
  internal::Attempts attempts(*core_, options, true, core_->options.timeout);
  v1::ListArtifactsRequest request;
  request.set_folder(folder);
  request.set_meta_glob(meta_glob);
  std::vector<Artifact> artifacts;
  Status status = ReadAll<v1::Artifact>(
      attempts, [&](grpc::ClientContext* context) { return core_->scoring->ListArtifacts(context, request); },
      [&] { artifacts.clear(); }, [&](const v1::Artifact& artifact) { artifacts.push_back(FromProto(artifact)); });
  if (!status.ok()) return status;
  return artifacts;
}

Result<std::vector<Detector>> Client::ListDetectors(const std::string& name, const CallOptions& options) const {
  v1::ListDetectorsRequest request;
  request.set_name(name);
  v1::ListDetectorsResponse response;
  Status status = Unary(*core_, *core_->detectors, &v1::Detectors::Stub::List, request, response, options, true);
  if (!status.ok()) return status;
  std::vector<Detector> detectors;
  for (const v1::Detector& detector : response.detectors()) detectors.push_back(FromProto(detector));
  return detectors;
}

Result<Detector> Client::GetDetector(const std::string& detector, const CallOptions& options) const {
  v1::GetDetectorRequest request;
  request.set_detector(detector);
  v1::Detector response;
  Status status = Unary(*core_, *core_->detectors, &v1::Detectors::Stub::Get, request, response, options, true);
  if (!status.ok()) return status;
  return FromProto(response);
}

Result<Operation> Client::Fit(const FitRequest& request, const CallOptions& options) const {
  v1::Operation response;
  Status status =
      Unary(*core_, *core_->detectors, &v1::Detectors::Stub::Fit, ToProto(request), response, options, false);
  if (!status.ok()) return status;
  return FromProto(response);
}

Result<Operation> Client::GetOperation(const std::string& name, const CallOptions& options) const {
  v1::GetOperationRequest request;
  request.set_name(name);
  v1::Operation response;
  Status status =
      Unary(*core_, *core_->detectors, &v1::Detectors::Stub::GetOperation, request, response, options, true);
  if (!status.ok()) return status;
  return FromProto(response);
}

Result<Operation> Client::WatchOperation(const std::string& name, const std::function<void(const Operation&)>& change,
                                         const CallOptions& options) const {
  internal::Attempts attempts(*core_, options, true, std::chrono::milliseconds(-1));
  v1::WatchOperationRequest request;
  request.set_name(name);
  std::optional<Operation> last;
  Status status = ReadAll<v1::Operation>(
      attempts, [&](grpc::ClientContext* context) { return core_->detectors->WatchOperation(context, request); }, [] {},
      [&](const v1::Operation& operation) {
        attempts.Progressed();
        last = FromProto(operation);
        if (change) change(*last);
      });
  if (!status.ok()) return status;
  if (!last || !last->over()) return Truncated(attempts, "the operation's end");
  return *std::move(last);
}

Result<Operation> Client::CancelOperation(const std::string& name, const CallOptions& options) const {
  v1::CancelOperationRequest request;
  request.set_name(name);
  v1::Operation response;
  Status status =
      Unary(*core_, *core_->detectors, &v1::Detectors::Stub::CancelOperation, request, response, options, true);
  if (!status.ok()) return status;
  return FromProto(response);
}

Result<Detector> Client::LoadDetector(const std::string& folder, bool activate, const CallOptions& options) const {
  v1::LoadDetectorRequest request;
  request.set_folder(folder);
  request.set_activate(activate);
  v1::Detector response;
  Status status = Unary(*core_, *core_->detectors, &v1::Detectors::Stub::Load, request, response, options, false);
  if (!status.ok()) return status;
  return FromProto(response);
}

Result<Detector> Client::ActivateDetector(const std::string& detector, const CallOptions& options) const {
  v1::ActivateRequest request;
  request.set_detector(detector);
  v1::Detector response;
  Status status = Unary(*core_, *core_->detectors, &v1::Detectors::Stub::Activate, request, response, options, true);
  if (!status.ok()) return status;
  return FromProto(response);
}

Result<Detector> Client::RollBackDetector(const std::string& name, const CallOptions& options) const {
  v1::RollBackRequest request;
  request.set_name(name);
  v1::Detector response;
  Status status = Unary(*core_, *core_->detectors, &v1::Detectors::Stub::RollBack, request, response, options, false);
  if (!status.ok()) return status;
  return FromProto(response);
}

Status Client::Backfill(const BackfillRequest& request, const std::function<void(const BackfillEntry&)>& entry,
                        const CallOptions& options) const {
  internal::Attempts attempts(*core_, options, false, core_->options.timeout);
  if (Status status = internal::Connect(*core_, attempts); !status.ok()) return status;
  const v1::BackfillRequest message = ToProto(request);
  return ReadAll<v1::BackfillEntry>(
      attempts, [&](grpc::ClientContext* context) { return core_->integrity->Backfill(context, message); }, [] {},
      [&](const v1::BackfillEntry& one) {
        if (entry) entry(FromProto(one));
      });
}

Result<SanitizeResult> Client::Sanitize(const SanitizeRequest& request, const CallOptions& options) const {
  v1::SanitizeResponse response;
  Status status =
      Unary(*core_, *core_->predictions, &v1::Predictions::Stub::Sanitize, ToProto(request), response, options, false);
  if (!status.ok()) return status;
  return FromProto(response);
}

Result<RetrainPlan> Client::PlanRetraining(const std::string& meta_path, const std::string& detector,
                                           const CallOptions& options) const {
  v1::RetrainPlanRequest request;
  request.set_meta_path(meta_path);
  request.set_detector(detector);
  v1::RetrainPlanResponse response;
  Status status =
      Unary(*core_, *core_->predictions, &v1::Predictions::Stub::RetrainPlan, request, response, options, true);
  if (!status.ok()) return status;
  return FromProto(response);
}

Result<Health> Client::CheckHealth(const std::string& service, const CallOptions& options) const {
  // The two messages of grpc.health.v1 are, on the wire, a string and a number in field 1. Generated code of their own
  // would clash with that of a program that has it too.
  using Stub = grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::UInt32Value>;
  internal::Attempts attempts(*core_, options, false, core_->options.timeout);
  grpc::ClientContext context;
  attempts.Prepare(context);
  const internal::CancelHook hook(attempts.canceller(), [&context] { context.TryCancel(); });
  google::protobuf::StringValue request;
  request.set_value(service);
  google::protobuf::UInt32Value response;
  std::promise<grpc::Status> done;
  Stub(core_->channel)
      .UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                 [&done](grpc::Status status) { done.set_value(std::move(status)); });
  Status status = internal::StatusOf(done.get_future().get(), context, attempts.request_id());
  if (!status.ok()) return status;
  return response.value() <= static_cast<uint32_t>(Health::kServiceUnknown) ? static_cast<Health>(response.value())
                                                                            : Health::kUnknown;
}

}  // namespace driftseal
