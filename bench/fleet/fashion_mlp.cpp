#include "bench/fleet/domains.h"
#include "bench/fleet/fashion_data.h"
#include "bench/fleet/torch_domain.h"

namespace driftseal::fleet {

absl::StatusOr<std::unique_ptr<Domain>> MakeFashionMlp(const DataOptions& options) {
  auto data = LoadFashion(options);
  if (!data.ok()) return data.status();
  DomainInfo info{.name = "fashion-mlp",
                  .domain = "vision",
                  .model_kind = "mlp",
                  .primary_metric = "accuracy",
                  .baseline = 0.75,
                  .target_class = -1,
                  .inputs = ImageInputs({kImageSide * kImageSide}, kImageSide),
                  .knobs = {
                      {"epochs", true, false, 1, 100, {6, 6}, {5, 8}, {4, 14}},
                      {"learning_rate", false, true, 1e-6, 1, {3e-3, 3e-3}, {2e-3, 4e-3}, {1e-3, 5e-3}},
                      {"batch_size", true, false, 1, 4096, {64, 64}, {64, 64}, {0, 0, {32, 64, 128}}},
                      {"width", true, false, 2, 1024, {32, 32}, {32, 32}, {0, 0, {32, 48}}},
                      {"samples", true, false, 100, 60000, {10000, 10000}, {10000, 10000}, {8000, 12000}},
                  }};
  const auto spec_of = [](const Recipe& recipe) {
    const int width = recipe.Int("width");
    return NetworkSpec{.class_name = "FashionMlp",
                       .input_shape = {kImageSide * kImageSide},
                       .convs = {},
                       .hidden = {width, width / 2},
                       .classes = kImageClasses};
  };
  return std::make_unique<TorchDomain>(std::move(info), std::move(*data), spec_of);
}

}  // namespace driftseal::fleet
