#include "bench/serve/verify_load.h"

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/serve/messages.h"
#include "bench/serve/pump.h"
#include "bench/serve/timing.h"
#include "driftseal/v1/scoring.grpc.pb.h"
#include "grpcpp/impl/codegen/proto_utils.h"

namespace driftseal::bench {
namespace {

absl::StatusOr<std::vector<std::string>> List(const std::shared_ptr<grpc::Channel>& channel,
                                              const std::string& folder) {
  grpc::ClientContext context;
  v1::ListArtifactsRequest request;
  request.set_folder(folder);
  const auto reader = v1::Scoring::NewStub(channel)->ListArtifacts(&context, request);
  std::vector<std::string> paths;
  for (v1::Artifact artifact; reader->Read(&artifact);) paths.push_back(artifact.path());
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return absl::UnavailableError("ListArtifacts: " + status.error_message());
  return paths;
}

struct Seen {
  size_t answers = 0, stored_before = 0, duplicates = 0, unknown = 0;
  std::map<std::string, size_t> outcomes, failed;
  std::vector<bool> answered;
};

}  // namespace

absl::StatusOr<nlohmann::json> RunVerify(const VerifyLoad& load) {
  const auto channels = Connect(load.target);
  if (!channels.ok()) return channels.status();
  const auto paths = List(channels->front(), load.folder);
  if (!paths.ok()) return paths.status();
  std::ofstream output;
  if (!load.output_path.empty()) output.open(load.output_path);
  Seen seen;
  seen.answered.resize(paths->size());
  size_t next = 0;
  v1::VerifyStreamRequest request;
  request.mutable_request()->set_want_report_entry(!load.output_path.empty());
  const auto send = [&](grpc::ByteBuffer* bytes) {
    if (next == paths->size()) return false;
    request.set_run(load.run);
    request.set_id(std::to_string(next));
    request.mutable_request()->set_path((*paths)[next++]);
    const grpc::Slice slice(request.SerializeAsString());
    *bytes = grpc::ByteBuffer(&slice, 1);
    return true;
  };
  v1::VerifyStreamResponse response;
  const auto take = [&](grpc::ByteBuffer* bytes) {
    const grpc::Status parsed = grpc::SerializationTraits<v1::VerifyStreamResponse>::Deserialize(bytes, &response);
    const size_t id = std::strtoull(response.id().c_str(), nullptr, 10);
    ++seen.answers;
    if (!parsed.ok() || id >= next || response.id() != std::to_string(id)) {
      ++seen.unknown;
    } else if (seen.answered[id]) {
      ++seen.duplicates;
    } else {
      seen.answered[id] = true;
      if (response.has_error()) {
        ++seen.failed[response.error().message()];
      } else {
        ++seen.outcomes[v1::Verdict::Outcome_Name(response.verdict().outcome())];
        if (output.is_open()) output << response.verdict().report_entry() << '\n';
      }
      if (response.stored_before()) ++seen.stored_before;
    }
  };
  Window window(load.target.process);
  grpc::CompletionQueue queue;
  Pump pump(channels->front(), kVerifyStream, &queue, load.window, {send, take});
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok) && !Pump::Handle(tag, ok)) {
  }
  window.Close();
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  if (!pump.status().ok()) ++seen.failed["the stream: " + pump.status().error_message()];
  const nlohmann::json clock = window.Report({}, 1);
  size_t missing = 0;
  for (const bool answered : seen.answered) missing += answered ? 0 : 1;
  return nlohmann::json{{"artifacts", paths->size()},
                        {"seconds", clock["seconds"]},
                        {"artifacts_per_second", static_cast<double>(paths->size()) / clock["seconds"].get<double>()},
                        {"server_cpu_seconds", clock["server_cpu_seconds"]},
                        {"client_cpu_seconds", clock["client_cpu_seconds"]},
                        {"missing", missing},
                        {"duplicates", seen.duplicates},
                        {"unknown", seen.unknown},
                        {"stored_before", seen.stored_before},
                        {"outcomes", seen.outcomes},
                        {"failed", seen.failed}};
}

}  // namespace driftseal::bench
