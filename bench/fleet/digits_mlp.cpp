#include "bench/fleet/digits_data.h"
#include "bench/fleet/domains.h"
#include "bench/fleet/torch_domain.h"

namespace driftseal::fleet {

absl::StatusOr<std::unique_ptr<Domain>> MakeDigitsMlp(const DataOptions& options) {
  auto data = LoadDigits(options);
  if (!data.ok()) return data.status();
  DomainInfo info{.name = "digits-mlp",
                  .domain = "vision",
                  .model_kind = "mlp",
                  .primary_metric = "accuracy",
                  .baseline = 0.90,
                  .target_class = -1,
                  .inputs = ImageInputs({kDigitSide * kDigitSide}, kDigitSide),
                  .knobs = {
                      {"epochs", true, false, 1, 200, {14, 14}, {12, 17}, {8, 24}},
                      {"learning_rate", false, true, 1e-6, 1, {4e-3, 4e-3}, {3e-3, 5e-3}, {1.5e-3, 8e-3}},
                      {"batch_size", true, false, 1, 4096, {64, 64}, {64, 64}, {0, 0, {32, 64, 128}}},
                      {"width", true, false, 2, 1024, {48, 48}, {48, 48}, {0, 0, {48, 64}}},
                      {"samples", true, false, 100, 8000, {5000, 5000}, {5000, 5000}, {4000, 6000}},
                  }};
  const auto spec_of = [](const Recipe& recipe) {
    const int width = recipe.Int("width");
    return NetworkSpec{.class_name = "DigitsMlp",
                       .input_shape = {kDigitSide * kDigitSide},
                       .convs = {},
                       .hidden = {width, width / 2},
                       .classes = kDigitClasses};
  };
  return std::make_unique<TorchDomain>(std::move(info), std::move(*data), spec_of);
}

}  // namespace driftseal::fleet
