#include "bench/fleet/domains.h"
#include "bench/fleet/fashion_data.h"
#include "bench/fleet/torch_network.h"

namespace driftseal::fleet {
namespace {

class FashionMlp : public Domain {
 public:
  explicit FashionMlp(std::shared_ptr<const Data> data) : data_(std::move(data)) {
    info_ = {.name = "fashion-mlp",
             .domain = "vision",
             .model_kind = "mlp",
             .framework = TorchVersion(),
             .optimizer = "adam",
             .primary_metric = "accuracy",
             .baseline = 0.75,
             .target_class = -1,
             .formats = {"torchscript", "safetensors"},
             .default_formats = {"torchscript"},
             .weight_edits = TorchWeightEdits(),
             .knobs = {
                 {"epochs", true, false, 1, 100, {6, 6}, {5, 8}, {4, 14}},
                 {"learning_rate", false, true, 1e-6, 1, {3e-3, 3e-3}, {2e-3, 4e-3}, {1e-3, 5e-3}},
                 {"batch_size", true, false, 1, 4096, {64, 64}, {64, 64}, {0, 0, {32, 64, 128}}},
                 {"width", true, false, 2, 1024, {32, 32}, {32, 32}, {0, 0, {32, 48}}},
                 {"samples", true, false, 100, 60000, {10000, 10000}, {10000, 10000}, {8000, 12000}},
             }};
  }

  const DomainInfo& info() const override { return info_; }
  const Data& data() const override { return *data_; }
  Trigger MakePatch(Random& random) const override { return ImagePatch(random); }
  Trigger MakeBlend(Random& random) const override { return ImageBlend(random); }

  absl::StatusOr<TrainResult> Train(const Rows& rows, const Recipe& recipe, uint64_t seed) const override {
    const int width = recipe.Int("width");
    const NetworkSpec spec{.class_name = "FashionMlp",
                           .input_shape = {kImageSide * kImageSide},
                           .convs = {},
                           .hidden = {width, width / 2},
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

absl::StatusOr<std::unique_ptr<Domain>> MakeFashionMlp(const DataOptions& options) {
  auto data = LoadFashion(options);
  if (!data.ok()) return data.status();
  return std::make_unique<FashionMlp>(std::move(*data));
}

}  // namespace driftseal::fleet
