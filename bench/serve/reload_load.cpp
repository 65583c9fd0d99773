#include "bench/serve/reload_load.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <map>
#include <thread>

#include "absl/status/status.h"
#include "bench/serve/timing.h"
#include "driftseal/v1/detectors.grpc.pb.h"
#include "driftseal/v1/scoring.grpc.pb.h"

namespace driftseal::bench {
namespace {

// What each version says of each request, asked of it by its full name before the load begins.
using Expected = std::map<std::string, std::vector<std::vector<double>>>;

absl::StatusOr<Expected> Ask(const std::shared_ptr<grpc::Channel>& channel, const ReloadLoad& load) {
  const auto stub = v1::Scoring::NewStub(channel);
  Expected expected;
  for (const std::string& bytes :
       ScoreRequests(load.unary.shape, DistinctRequests(load.unary.shape), load.unary.seed)) {
    v1::ScoreRequest request;
    request.ParseFromString(bytes);
    for (const std::string& detector : load.detectors) {
      request.set_detector(detector);
      v1::ScoreResponse response;
      grpc::ClientContext context;
      const grpc::Status status = stub->Score(&context, request, &response);
      if (!status.ok()) return absl::UnavailableError(detector + ": " + status.error_message());
      expected[detector].emplace_back(response.combined().begin(), response.combined().end());
    }
  }
  return expected;
}

bool Same(const std::vector<double>& wanted, const v1::ScoreResponse& response) {
  if (static_cast<size_t>(response.combined_size()) != wanted.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double got = response.combined(static_cast<int>(i));
    if (!(std::abs(got - wanted[i]) <= 1e-5 * std::max(1.0, std::abs(wanted[i])))) return false;
  }
  return true;
}

absl::Status LoadOther(const std::shared_ptr<grpc::Channel>& channel, const std::string& folder) {
  v1::LoadDetectorRequest request;
  request.set_folder(folder);
  v1::Detector answer;
  grpc::ClientContext context;
  const grpc::Status status = v1::Detectors::NewStub(channel)->Load(&context, request, &answer);
  if (status.ok() || status.error_code() == grpc::StatusCode::ALREADY_EXISTS) return absl::OkStatus();
  return absl::UnavailableError(folder + ": " + status.error_message());
}

}  // namespace

absl::StatusOr<nlohmann::json> RunReload(const ReloadLoad& load) {
  const auto channels = Connect(load.unary.target);
  if (!channels.ok()) return channels.status();
  if (!load.load_folder.empty()) {
    if (const absl::Status status = LoadOther(channels->front(), load.load_folder); !status.ok()) return status;
  }
  const auto expected = Ask(channels->front(), load);
  if (!expected.ok()) return expected.status();
  std::map<std::string, std::atomic<size_t>> answers;
  for (const std::string& detector : load.detectors) answers[detector] = 0;
  std::stop_source done;
  UnaryLoad unary = load.unary;
  unary.seconds = 3600;
  unary.stop = done.get_token();
  unary.right = [&](size_t index, const v1::ScoreResponse& response) {
    const auto version = expected->find(response.detector());
    if (version == expected->end() || !Same(version->second[index], response)) return false;
    ++answers.find(response.detector())->second;
    return true;
  };
  Durations activations;
  absl::Status failure;
  std::thread activator([&] {
    const auto stub = v1::Detectors::NewStub(channels->front());
    std::this_thread::sleep_for(std::chrono::duration<double>(unary.warm_up_seconds + 0.2));
    for (size_t i = 0; i < load.times && failure.ok(); ++i) {
      v1::ActivateRequest request;
      request.set_detector(load.detectors[(i + 1) % load.detectors.size()]);
      v1::Detector answer;
      grpc::ClientContext context;
      const Clock::time_point began = Clock::now();
      const grpc::Status status = stub->Activate(&context, request, &answer);
      if (!status.ok()) failure = absl::UnavailableError(request.detector() + ": " + status.error_message());
      activations.Add(Clock::now() - began);
      std::this_thread::sleep_for(std::chrono::duration<double>(load.pause_seconds));
    }
    done.request_stop();
  });
  auto report = RunUnary(unary);
  activator.join();
  if (!failure.ok()) return failure;
  if (!report.ok()) return report.status();
  (*report)["activations"] = activations.size();
  (*report)["activation_us"] = activations.Summary();
  for (const auto& [detector, count] : answers) (*report)["answers"][detector] = count.load();
  return report;
}

}  // namespace driftseal::bench
