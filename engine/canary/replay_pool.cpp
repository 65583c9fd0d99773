#include "engine/canary/replay_pool.h"

#include <utility>

#include "engine/artifact/text.h"
#include "engine/canary/replay_workers.h"
#include "engine/canary/shared_sets.h"

namespace driftseal::canary {
namespace {

using replay::RawBehaviour;

/// Room for an answer: the share of it that grows with inputs, classes and pixels, taken generously, is far below. What
/// is not written to costs nothing.
constexpr uint64_t kAnswerCapacity = uint64_t{128} << 20;

class WorkersPool : public ReplayPool {
 public:
  explicit WorkersPool(std::unique_ptr<ReplayWorkers> workers) : workers_(std::move(workers)) {}

  absl::StatusOr<RawBehaviour> Probe(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                     const replay::CanarySet& set, const replay::ProbeOptions& options) override {
    return Run({replay::JobKind::kProbe, runtime, model, replay::EncodeProbeOptions(options), kAnswerCapacity}, set);
  }
  absl::StatusOr<RawBehaviour> Replay(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                      const replay::CanarySet& set) override {
    return Run({replay::JobKind::kReplay, runtime, model, "", kAnswerCapacity}, set);
  }
  const std::vector<SandboxMeasure>& measures() const override { return workers_->measures(); }

 private:
  absl::StatusOr<RawBehaviour> Run(const ReplayWorkers::Work& work, const replay::CanarySet& set) {
    absl::StatusOr<std::shared_ptr<const SharedSet>> shared = sets_.Get(set);
    if (!shared.ok()) return shared.status();
    absl::StatusOr<std::string> payload = workers_->Run(work, **shared);
    if (!payload.ok()) return payload.status();
    absl::StatusOr<RawBehaviour> behaviour = replay::DecodeBehaviour(*payload, set);
    if (behaviour.ok()) return behaviour;
    // Whatever is wrong with an answer, the caller's request is not.
    return absl::InternalError(artifact::Cat("it answered what cannot be: ",
                                             artifact::Quoted(std::string(behaviour.status().message()), 500)));
  }
  std::unique_ptr<ReplayWorkers> workers_;
  SharedSets sets_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ReplayPool>> ReplayPool::Start(const PoolOptions& options) {
  absl::StatusOr<std::unique_ptr<ReplayWorkers>> workers = ReplayWorkers::Start(options);
  if (!workers.ok()) return workers.status();
  return std::make_unique<WorkersPool>(*std::move(workers));
}

}  // namespace driftseal::canary
