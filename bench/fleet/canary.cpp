#include "bench/fleet/canary.h"

#include <filesystem>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/artifact/source.h"

namespace driftseal::fleet {

replay::CanarySet CanariesOf(const Domain& domain) {
  const DomainInfo& info = domain.info();
  const Rows& rows = domain.data().canary;
  return {.name = info.name,
          .domain = info.domain,
          .task = "classification",
          .shape = info.inputs.shape,
          .image = info.inputs.image,
          .classes = static_cast<uint32_t>(domain.data().classes),
          .low = info.inputs.low,
          .high = info.inputs.high,
          .inputs = rows.values,
          .labels = {rows.labels.begin(), rows.labels.end()}};
}

absl::Status WriteCanaries(const Domain& domain, const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make the folder ", folder));
  const auto file = replay::EncodeCanarySet(CanariesOf(domain));
  if (!file.ok()) return file.status();
  const auto path = std::filesystem::path(folder) / (domain.info().name + ".canary.safetensors");
  return artifact::WriteFileAtomically(path.string(), *file);
}

}  // namespace driftseal::fleet
