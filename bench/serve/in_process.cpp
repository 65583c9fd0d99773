#include "bench/serve/in_process.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "bench/serve/fixture.h"
#include "bench/serve/messages.h"
#include "bench/serve/timing.h"
#include "driftseal/v1/scoring.grpc.pb.h"
#include "engine/detector/batch.h"

namespace driftseal::bench {
namespace {

absl::StatusOr<detector::Detector> Load(const std::string& folder, size_t threads) {
  auto loaded = detector::Detector::Load(folder);
  if (!loaded.ok()) return loaded.status();
  detector::BackendOptions options;
  options.threads = threads;
  const auto backend = detector::MakeBackend(options);
  if (!backend.ok()) return backend.status();
  if (const absl::Status status = loaded->Use(*backend); !status.ok()) return status;
  return loaded;
}

}  // namespace

absl::StatusOr<nlohmann::json> RunInProcess(const InProcess& options) {
  const auto loaded = Load(options.detector, 0);
  if (!loaded.ok()) return loaded.status();
  RequestShape shape;
  shape.rows = options.rows;
  const size_t distinct = DistinctRequests(shape);
  const std::vector<float> rows = MakeRows(distinct * options.rows, options.seed);
  detector::BatchItem item;
  item.detector = &*loaded;
  detector::BatchItem* items[] = {&item};
  const auto score = [&](size_t i) {
    item.rows = {rows.data() + i % distinct * options.rows * kFeatures, options.rows, kFeatures};
    if (const absl::Status status = detector::CheckRows(*loaded, item.rows); !status.ok()) return status;
    return detector::ScoreBatch(items);
  };
  for (size_t i = 0; i < 50; ++i) {
    if (const absl::Status status = score(i); !status.ok()) return status;
  }
  const double processor = ProcessorSeconds(getpid());
  const Clock::time_point began = Clock::now();
  double seconds = 0;
  size_t calls = 0;
  while (seconds < options.seconds) {
    if (const absl::Status status = score(calls++); !status.ok()) return status;
    seconds = std::chrono::duration<double>(Clock::now() - began).count();
  }
  return nlohmann::json{{"seconds", seconds},
                        {"calls", calls},
                        {"rows_per_second", static_cast<double>(calls * options.rows) / seconds},
                        {"cpu_seconds", ProcessorSeconds(getpid()) - processor}};
}

absl::Status CheckScores(const Target& target, const std::string& detector) {
  const auto loaded = Load(detector, 1);
  if (!loaded.ok()) return loaded.status();
  const auto channels = Connect(target);
  if (!channels.ok()) return channels.status();
  RequestShape shape;
  shape.rows = 256;
  constexpr size_t kCalls = 4;
  const std::vector<std::string> requests = ScoreRequests(shape, kCalls, 5);
  const std::vector<float> rows = MakeRows(shape.rows * kCalls, 5);
  detector::BatchItem item;
  item.detector = &*loaded;
  item.rows = {rows.data(), shape.rows * kCalls, kFeatures};
  detector::BatchItem* items[] = {&item};
  if (const absl::Status status = detector::ScoreBatch(items); !status.ok()) return status;
  const auto stub = v1::Scoring::NewStub(channels->front());
  for (size_t call = 0; call < kCalls; ++call) {
    v1::ScoreRequest request;
    request.ParseFromString(requests[call]);
    v1::ScoreResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub->Score(&context, request, &response);
    if (!status.ok()) return absl::UnavailableError("Score: " + status.error_message());
    if (!Answers(response, shape)) return absl::InternalError("Score answered without a score for each row");
    for (size_t i = 0; i < shape.rows; ++i) {
      const double wanted = item.scores.combined[call * shape.rows + i], got = response.combined(static_cast<int>(i));
      if (std::abs(got - wanted) > 1e-5 * std::max(1.0, std::abs(wanted))) {
        return absl::InternalError("row " + std::to_string(call * shape.rows + i) + ": served " + std::to_string(got) +
                                   ", scored here " + std::to_string(wanted));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace driftseal::bench
