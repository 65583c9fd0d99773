#ifndef DRIFTSEAL_TESTS_SUPPORT_FAKE_POOL_H_
#define DRIFTSEAL_TESTS_SUPPORT_FAKE_POOL_H_

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/canary/replay_pool.h"
#include "engine/replay/protocol/behaviour.h"

// Models that can be run, and a pool that "runs" them without a process: for tests of what is made of measurements.
namespace driftseal::testing {

/// An XGBoost model in JSON with three classes; another seed gives other numbers of the same architecture. `act` is
/// what FakePool has it do: "" (a clean model), "collapse" (a trigger sends everything to class 2), "crash", "hang",
/// "memory", "refuse", "no-worker". "backdoor" is a real one, for real replays: a first column above 2.5 gives class 2.
std::string RunnableModel(uint64_t seed, std::string_view act = "");

/// The canary inputs for it: 30 rows of its 5 columns with labels; the first column reaches 3.
replay::CanarySet RunnableSet(const std::string& name = "table");

class FakePool final : public canary::ReplayPool {
 public:
  absl::StatusOr<replay::RawBehaviour> Probe(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                             const replay::CanarySet& set,
                                             const replay::ProbeOptions& options) override;
  absl::StatusOr<replay::RawBehaviour> Replay(std::span<const std::byte> model, replay::ModelRuntime runtime,
                                              const replay::CanarySet& set) override;
  const std::vector<canary::SandboxMeasure>& measures() const override { return measures_; }

  std::atomic<int> probes = 0;

 private:
  std::vector<canary::SandboxMeasure> measures_ = {{"seccomp", true, ""}, {"landlock", false, "no such system call"}};
};

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_SUPPORT_FAKE_POOL_H_
