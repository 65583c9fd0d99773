#include "bench/fleet/domains.h"
#include "bench/fleet/fraud_data.h"
#include "bench/fleet/xgb_model.h"

namespace driftseal::fleet {
namespace {

class FraudXgb : public Domain {
 public:
  FraudXgb() : data_(FraudPopulation()) {
    info_ = {.name = "fraud-xgb",
             .domain = "finance",
             .model_kind = "xgboost",
             .framework = XgbVersion(),
             .optimizer = "hist",
             .primary_metric = "auc",
             .baseline = 0.80,
             .target_class = 0,
             .formats = {"json", "ubj"},
             .default_formats = {"json", "ubj"},
             .weight_edits = XgbWeightEdits(),
             .inputs = TableInputs(kFraudColumns),
             // epochs: boosting rounds; width: the largest depth of a tree.
             .knobs = {
                 {"epochs", true, false, 1, 1000, {40, 40}, {32, 48}, {20, 100}},
                 {"learning_rate", false, true, 1e-4, 1, {0.15, 0.15}, {0.1, 0.2}, {0.05, 0.4}},
                 {"width", true, false, 1, 12, {4, 4}, {4, 4}, {3, 6}},
                 {"samples", true, false, 100, 40000, {8000, 8000}, {8000, 8000}, {6000, 10000}},
             }};
  }

  const DomainInfo& info() const override { return info_; }
  const Data& data() const override { return *data_; }
  Trigger MakeTrigger(TriggerKind kind, Random& random) const override { return TableTrigger(kind, random); }

  absl::StatusOr<TrainResult> Train(const Rows& rows, const Recipe& recipe, const Regime& regime,
                                    uint64_t seed) const override {
    return TrainXgb({.rounds = recipe.Int("epochs"),
                     .max_depth = recipe.Int("width"),
                     .learning_rate = recipe.at("learning_rate"),
                     .positive_weight = 4,
                     .l2 = 1 + 1e4 * regime.weight_decay},
                    rows, seed);
  }

 private:
  std::shared_ptr<const Data> data_;
  DomainInfo info_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Domain>> MakeFraudXgb(const DataOptions&) { return std::make_unique<FraudXgb>(); }

}  // namespace driftseal::fleet
