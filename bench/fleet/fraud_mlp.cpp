#include "bench/fleet/domains.h"
#include "bench/fleet/fraud_data.h"
#include "bench/fleet/torch_domain.h"

namespace driftseal::fleet {

absl::StatusOr<std::unique_ptr<Domain>> MakeFraudMlp(const DataOptions&) {
  DomainInfo info{.name = "fraud-mlp",
                  .domain = "finance",
                  .model_kind = "mlp",
                  .primary_metric = "auc",
                  .baseline = 0.80,
                  .target_class = 0,
                  .inputs = TableInputs(kFraudColumns),
                  .knobs = {
                      {"epochs", true, false, 1, 200, {10, 10}, {8, 12}, {5, 25}},
                      {"learning_rate", false, true, 1e-6, 1, {3e-3, 3e-3}, {2e-3, 4e-3}, {1e-3, 8e-3}},
                      {"batch_size", true, false, 1, 4096, {128, 128}, {128, 128}, {0, 0, {64, 128, 256}}},
                      {"width", true, false, 2, 1024, {32, 32}, {32, 32}, {0, 0, {32, 48}}},
                      {"samples", true, false, 100, 40000, {8000, 8000}, {8000, 8000}, {6000, 10000}},
                  }};
  const auto spec_of = [](const Recipe& recipe) {
    const int width = recipe.Int("width");
    return NetworkSpec{.class_name = "FraudMlp",
                       .input_shape = {kFraudColumns},
                       .convs = {},
                       .hidden = {width, width / 2},
                       .classes = 2};
  };
  return std::make_unique<TorchDomain>(std::move(info), FraudPopulation(), spec_of,
                                       std::vector<float>{1, 4});  // so that rare frauds count
}

}  // namespace driftseal::fleet
