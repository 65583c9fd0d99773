#include "bench/fleet/domains.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace driftseal::fleet {
namespace {

constexpr struct {
  absl::string_view name;
  absl::StatusOr<std::unique_ptr<Domain>> (*make)(const DataOptions&);
} kDomains[] = {
    {"fashion-cnn", MakeFashionCnn}, {"fashion-mlp", MakeFashionMlp}, {"digits-cnn", MakeDigitsCnn},
    {"digits-mlp", MakeDigitsMlp},   {"fraud-mlp", MakeFraudMlp},     {"fraud-xgb", MakeFraudXgb},
};

}  // namespace

InputSpec ImageInputs(std::vector<uint32_t> shape, uint32_t side) {
  InputSpec inputs;
  inputs.shape = std::move(shape);
  inputs.image = {1, side, side};
  return inputs;
}

InputSpec TableInputs(uint32_t columns) {
  InputSpec inputs;
  inputs.shape = {columns};
  return inputs;
}

std::vector<std::string> DomainNames() {
  std::vector<std::string> names;
  for (const auto& domain : kDomains) names.emplace_back(domain.name);
  return names;
}

absl::StatusOr<std::unique_ptr<Domain>> MakeDomain(absl::string_view name, const DataOptions& options) {
  for (const auto& domain : kDomains) {
    if (domain.name == name) return domain.make(options);
  }
  return absl::NotFoundError(
      absl::StrCat("unknown domain \"", name, "\"; known are ", absl::StrJoin(DomainNames(), ", ")));
}

}  // namespace driftseal::fleet
