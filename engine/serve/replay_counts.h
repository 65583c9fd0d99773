#ifndef DRIFTSEAL_ENGINE_SERVE_REPLAY_COUNTS_H_
#define DRIFTSEAL_ENGINE_SERVE_REPLAY_COUNTS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/canary/replay_pool.h"
#include "engine/serve/metrics.h"

namespace driftseal::serve {

/// What became of models that were run.
class ReplayCounts {
 public:
  ReplayCounts();
  void Began() { busy_.fetch_add(1, std::memory_order_relaxed); }
  void Ended(const absl::Status& status, double seconds);
  /// `workers`: of the pool; 0: there is none.
  void SetWorkers(unsigned workers) { workers_ = workers; }
  void Collect(std::vector<prometheus::MetricFamily>& families) const;

 private:
  enum Outcome { kMeasured, kTimeout, kMemory, kFailed, kRefused, kNoWorker, kOutcomes };
  std::array<std::atomic<uint64_t>, kOutcomes> outcomes_{};
  std::atomic<int64_t> busy_{0};
  std::atomic<unsigned> workers_{0};
  AtomicHistogram seconds_;
};

/// A pool whose calls are counted.
class CountedPool final : public canary::ReplayPool {
 public:
  CountedPool(std::unique_ptr<canary::ReplayPool> pool, std::shared_ptr<ReplayCounts> counts)
      : pool_(std::move(pool)), counts_(std::move(counts)) {}
  absl::StatusOr<replay::RawBehaviour> Probe(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                             const replay::CanarySet& set,
                                             const replay::ProbeOptions& options) override;
  absl::StatusOr<replay::RawBehaviour> Replay(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                              const replay::CanarySet& set) override;
  const std::vector<canary::SandboxMeasure>& measures() const override { return pool_->measures(); }

 private:
  std::unique_ptr<canary::ReplayPool> pool_;
  std::shared_ptr<ReplayCounts> counts_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_REPLAY_COUNTS_H_
