#include "bench/fleet/domains.h"
#include "bench/fleet/fashion_data.h"
#include "bench/fleet/torch_domain.h"

namespace driftseal::fleet {

absl::StatusOr<std::unique_ptr<Domain>> MakeFashionCnn(const DataOptions& options) {
  auto data = LoadFashion(options);
  if (!data.ok()) return data.status();
  DomainInfo info{.name = "fashion-cnn",
                  .domain = "vision",
                  .model_kind = "cnn",
                  .primary_metric = "accuracy",
                  .baseline = 0.75,
                  .target_class = -1,
                  .inputs = ImageInputs({1, kImageSide, kImageSide}, kImageSide),
                  .knobs = {
                      {"epochs", true, false, 1, 100, {5, 5}, {4, 6}, {3, 10}},
                      {"learning_rate", false, true, 1e-6, 1, {9e-3, 9e-3}, {7e-3, 1.1e-2}, {3e-3, 1.2e-2}},
                      {"batch_size", true, false, 1, 4096, {64, 64}, {64, 64}, {0, 0, {32, 64, 128}}},
                      {"width", true, false, 1, 128, {8, 8}, {8, 8}, {0, 0, {8, 12}}},
                      {"samples", true, false, 100, 60000, {10000, 10000}, {10000, 10000}, {8000, 12000}},
                  }};
  const auto spec_of = [](const Recipe& recipe) {
    const int width = recipe.Int("width");
    return NetworkSpec{.class_name = "FashionCnn",
                       .input_shape = {1, kImageSide, kImageSide},
                       .convs = {{.channels = width, .kernel = 3, .stride = 2, .pool = false},
                                 {.channels = 2 * width, .kernel = 3, .stride = 2, .pool = false}},
                       .hidden = {24},
                       .classes = kImageClasses};
  };
  return std::make_unique<TorchDomain>(std::move(info), std::move(*data), spec_of);
}

}  // namespace driftseal::fleet
