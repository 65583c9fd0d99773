#include "engine/serve/replay_counts.h"

#include <chrono>

namespace driftseal::serve {
namespace {

using prometheus::MetricType;

template <class Call>
absl::StatusOr<replay::RawBehaviour> Counted(ReplayCounts& counts, const Call& call) {
  const auto start = std::chrono::steady_clock::now();
  counts.Began();
  absl::StatusOr<replay::RawBehaviour> result = call();
  counts.Ended(result.status(), std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return result;
}

}  // namespace

ReplayCounts::ReplayCounts() : seconds_({0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 10, 30, 60, 300}) {}

void ReplayCounts::Ended(const absl::Status& status, double seconds) {
  const Outcome outcome = [&] {
    switch (status.code()) {
      case absl::StatusCode::kOk:
        return kMeasured;
      case absl::StatusCode::kDeadlineExceeded:
        return kTimeout;
      case absl::StatusCode::kResourceExhausted:
        return kMemory;
      case absl::StatusCode::kInternal:
        return kFailed;
      case absl::StatusCode::kInvalidArgument:
        return kRefused;
      default:
        return kNoWorker;
    }
  }();
  outcomes_[outcome].fetch_add(1, std::memory_order_relaxed);
  busy_.fetch_sub(1, std::memory_order_relaxed);
  seconds_.Observe(seconds);
}

void ReplayCounts::Collect(std::vector<prometheus::MetricFamily>& families) const {
  constexpr std::array<const char*, kOutcomes> kNames = {"measured", "timeout", "memory",
                                                         "failed",   "refused", "no-worker"};
  std::vector<prometheus::ClientMetric> outcomes;
  for (size_t i = 0; i < kNames.size(); ++i) {
    outcomes.push_back(CounterValue(static_cast<double>(outcomes_[i].load()), {{"outcome", kNames[i]}}));
  }
  families.push_back(Family("driftseal_replays_total",
                            "Models that were run, by what became of them: failed ones crashed or their code did, "
                            "refused ones do not take the canary inputs.",
                            MetricType::Counter, std::move(outcomes)));
  families.push_back(Family("driftseal_replay_seconds", "How long that took, waiting for a worker included.",
                            MetricType::Histogram, {seconds_.Collect()}));
  families.push_back(Family("driftseal_replay_busy", "Models that run or wait for a worker.", MetricType::Gauge,
                            {GaugeValue(static_cast<double>(busy_.load()))}));
  families.push_back(Family("driftseal_replay_workers", "Sandboxed processes for them; 0: models are not run.",
                            MetricType::Gauge, {GaugeValue(static_cast<double>(workers_.load()))}));
}

absl::StatusOr<replay::RawBehaviour> CountedPool::Probe(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                                        const replay::CanarySet& set,
                                                        const replay::ProbeOptions& options) {
  return Counted(*counts_, [&] { return pool_->Probe(model, runtime, set, options); });
}

absl::StatusOr<replay::RawBehaviour> CountedPool::Replay(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                                         const replay::CanarySet& set) {
  return Counted(*counts_, [&] { return pool_->Replay(model, runtime, set); });
}

}  // namespace driftseal::serve
