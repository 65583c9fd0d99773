#include "engine/canary/prober.h"

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "engine/artifact/text.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;
using replay::CanarySet;

constexpr uint64_t kMostModelBytes = uint64_t{1} << 30;

bool IsFor(const CanarySet& set, std::string_view domain, std::string_view task) {
  const auto fits = [](std::string_view asked, std::string_view own) {
    return asked.empty() || own.empty() || asked == own;
  };
  return fits(domain, set.domain) && fits(task, set.task);
}

}  // namespace

absl::StatusOr<replay::ModelRuntime> RuntimeOf(artifact::Format format) {
  switch (format) {
    case artifact::Format::kTorchZip:
      return replay::ModelRuntime::kTorchScript;
    case artifact::Format::kXgboostJson:
    case artifact::Format::kXgboostUbj:
      return replay::ModelRuntime::kXgboost;
    case artifact::Format::kSafetensors:
      break;
  }
  return absl::UnimplementedError("safetensors hold weights alone, which cannot be run: save a TorchScript archive");
}

Prober::Prober(std::shared_ptr<ReplayPool> pool, std::vector<CanarySet> sets, replay::ProbeOptions options)
    : pool_(std::move(pool)), sets_(std::move(sets)), options_(options) {}

absl::StatusOr<Prober::Measured> Prober::Measure(const artifact::Source& source, artifact::Format format,
                                                 std::string_view domain, std::string_view task) const {
  const absl::StatusOr<replay::ModelRuntime> runtime = RuntimeOf(format);
  if (!runtime.ok()) return runtime.status();
  std::vector<std::byte> scratch;
  const auto bytes = source.ReadAll(kMostModelBytes, scratch);
  if (!bytes.ok()) return bytes.status();
  std::string refused;
  for (const CanarySet& set : sets_) {
    if (!IsFor(set, domain, task)) continue;
    absl::StatusOr<replay::RawBehaviour> behaviour = pool_->Probe(*bytes, *runtime, set, options_);
    if (behaviour.ok()) return Measured{*std::move(behaviour), &set};
    if (!absl::IsInvalidArgument(behaviour.status())) return behaviour.status();
    refused += Cat(refused.empty() ? "" : "; ", set.name, ": ", std::string(behaviour.status().message()));
  }
  if (refused.empty()) return absl::FailedPreconditionError("there is no canary set for the model's domain and task");
  return absl::FailedPreconditionError(Cat("no canary set fits the model: ", refused));
}

}  // namespace driftseal::canary
