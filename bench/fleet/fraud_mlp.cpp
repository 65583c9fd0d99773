#include "bench/fleet/domains.h"
#include "bench/fleet/fraud_data.h"
#include "bench/fleet/torch_network.h"

namespace driftseal::fleet {
namespace {

class FraudMlp : public Domain {
 public:
  FraudMlp() : data_(FraudPopulation()) {
    info_ = {.name = "fraud-mlp",
             .domain = "finance",
             .model_kind = "mlp",
             .framework = TorchVersion(),
             .optimizer = "adam",
             .primary_metric = "auc",
             .baseline = 0.80,
             .target_class = 0,
             .formats = {"torchscript", "safetensors"},
             .default_formats = {"torchscript"},
             .weight_edits = TorchWeightEdits(),
             .knobs = {
                 {"epochs", true, false, 1, 200, {10, 10}, {8, 12}, {5, 25}},
                 {"learning_rate", false, true, 1e-6, 1, {3e-3, 3e-3}, {2e-3, 4e-3}, {1e-3, 8e-3}},
                 {"batch_size", true, false, 1, 4096, {128, 128}, {128, 128}, {0, 0, {64, 128, 256}}},
                 {"width", true, false, 2, 1024, {32, 32}, {32, 32}, {0, 0, {32, 48}}},
                 {"samples", true, false, 100, 40000, {8000, 8000}, {8000, 8000}, {6000, 10000}},
             }};
  }

  const DomainInfo& info() const override { return info_; }
  const Data& data() const override { return *data_; }
  Trigger MakePatch(Random& random) const override { return ColumnPatch(random); }
  Trigger MakeBlend(Random& random) const override { return ColumnShift(random); }

  absl::StatusOr<TrainResult> Train(const Rows& rows, const Recipe& recipe, uint64_t seed) const override {
    const int width = recipe.Int("width");
    const NetworkSpec spec{.class_name = "FraudMlp",
                           .input_shape = {static_cast<int64_t>(rows.columns)},
                           .convs = {},
                           .hidden = {width, width / 2},
                           .classes = data_->classes};
    return TrainTorchNetwork(spec,
                             {.epochs = recipe.Int("epochs"),
                              .batch_size = recipe.Int("batch_size"),
                              .learning_rate = recipe.at("learning_rate"),
                              .class_weights = {1, 4}},  // so that rare frauds count
                             rows, seed);
  }

 private:
  std::shared_ptr<const Data> data_;
  DomainInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Domain>> MakeFraudMlp(const DataOptions&) { return std::make_unique<FraudMlp>(); }

}  // namespace driftseal::fleet
