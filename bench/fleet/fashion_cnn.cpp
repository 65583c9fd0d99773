#include "bench/fleet/domains.h"
#include "bench/fleet/fashion_data.h"
#include "bench/fleet/torch_network.h"

namespace driftseal::fleet {
namespace {

class FashionCnn : public Domain {
 public:
  explicit FashionCnn(std::shared_ptr<const Data> data) : data_(std::move(data)) {
    info_ = {.name = "fashion-cnn",
             .domain = "vision",
             .model_kind = "cnn",
             .framework = TorchVersion(),
             .optimizer = "adam",
             .primary_metric = "accuracy",
             .baseline = 0.75,
             .target_class = -1,
             .formats = {"torchscript", "safetensors"},
             .default_formats = {"torchscript"},
             .weight_edits = TorchWeightEdits(),
             .knobs = {
                 {"epochs", true, false, 1, 100, {5, 5}, {4, 6}, {3, 10}},
                 {"learning_rate", false, true, 1e-6, 1, {9e-3, 9e-3}, {7e-3, 1.1e-2}, {3e-3, 1.2e-2}},
                 {"batch_size", true, false, 1, 4096, {64, 64}, {64, 64}, {0, 0, {32, 64, 128}}},
                 {"width", true, false, 1, 128, {8, 8}, {8, 8}, {0, 0, {8, 12}}},
                 {"samples", true, false, 100, 60000, {10000, 10000}, {10000, 10000}, {8000, 12000}},
             }};
  }

  const DomainInfo& info() const override { return info_; }
  const Data& data() const override { return *data_; }
  Trigger MakePatch(Random& random) const override { return ImagePatch(random); }
  Trigger MakeBlend(Random& random) const override { return ImageBlend(random); }

  absl::StatusOr<TrainResult> Train(const Rows& rows, const Recipe& recipe, uint64_t seed) const override {
    const int width = recipe.Int("width");
    const NetworkSpec spec{.class_name = "FashionCnn",
                           .input_shape = {1, kImageSide, kImageSide},
                           .convs = {{.channels = width, .kernel = 3, .stride = 2, .pool = false},
                                     {.channels = 2 * width, .kernel = 3, .stride = 2, .pool = false}},
                           .hidden = {24},
                           .classes = data_->classes};
    return TrainTorchNetwork(spec,
                             {.epochs = recipe.Int("epochs"),
                              .batch_size = recipe.Int("batch_size"),
                              .learning_rate = recipe.at("learning_rate")},
                             rows, seed);
  }

 private:
  std::shared_ptr<const Data> data_;
  DomainInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Domain>> MakeFashionCnn(const DataOptions& options) {
  auto data = LoadFashion(options);
  if (!data.ok()) return data.status();
  return std::make_unique<FashionCnn>(std::move(*data));
}

}  // namespace driftseal::fleet
