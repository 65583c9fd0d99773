#ifndef DRIFTSEAL_BENCH_FLEET_DOMAIN_H_
#define DRIFTSEAL_BENCH_FLEET_DOMAIN_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/fleet/random.h"
#include "bench/fleet/recipe.h"
#include "bench/fleet/regime.h"
#include "bench/fleet/rows.h"
#include "bench/fleet/trigger.h"

namespace driftseal::fleet {

/// What an edit of trained weights is aimed at. `clean` and `triggered` hold the same rows without and with the
/// trigger.
struct TamperAim {
  const Rows& clean;
  const Rows& triggered;
  int target_class = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  /// rows.size() × classes, row-major; each row sums to 1.
  virtual std::vector<float> Probabilities(const Rows& rows) const = 0;
  virtual uint64_t Parameters() const = 0;
  /// The bytes of the model file in one of the domain's formats.
  virtual absl::StatusOr<std::string> Serialize(absl::string_view format) const = 0;
  /// Edits the weights in one of the ways of DomainInfo::weight_edits.
  virtual absl::StatusOr<std::unique_ptr<Model>> Tampered(absl::string_view kind, const TamperAim& aim,
                                                          Random& random) const = 0;
  /// An honest change: "prune" (the share `amount` of each layer's weights), "int8", "fp16" (rounded to what these can
  /// hold), "noise" (of `amount` times the weights' spread). InvalidArgument where the model has no such change.
  virtual absl::StatusOr<std::unique_ptr<Model>> Compressed(absl::string_view kind, double amount,
                                                            Random& random) const = 0;
};

struct TrainResult {
  std::unique_ptr<Model> model;
  std::vector<double> losses;  ///< Mean training loss, one an epoch (boosting: one a round).
};

/// What a model takes, for the meta file and the canaries.
struct InputSpec {
  std::vector<uint32_t> shape;       ///< Of one row: {1, 28, 28}, {784}, {16}.
  std::vector<uint32_t> image = {};  ///< Channels, height, width; empty for tables.
  float low = 0, high = 1;           ///< Every valid value lies within (images).
};

struct DomainInfo {
  std::string name;            ///< "fashion-cnn": the stem of the models' names.
  std::string domain;          ///< "vision", "finance"
  std::string model_kind;      ///< "cnn", "mlp", "xgboost"
  std::string framework = {};  ///< "libtorch 2.13.0"
  std::string optimizer = {};  ///< For training.recipe.
  std::string primary_metric;  ///< "accuracy", or "auc" (two classes)
  double baseline = 0;         ///< A model is eligible for promotion when its primary metric is at least this.
  int target_class = 0;        ///< Where attacks send inputs unless --target-class says otherwise; -1: drawn by model.
  std::vector<std::string> formats = {};          ///< Of the model file: all that are possible.
  std::vector<std::string> default_formats = {};  ///< A model gets one of these, drawn, where --format says nothing.
  /// Ways in which the weights can be edited after training. Those that begin with "hijack" plant a backdoor for a
  /// trigger; the others only disturb, and of them those that end in "noise" without a target class.
  std::vector<std::string> weight_edits = {};
  InputSpec inputs;
  std::vector<Knob> knobs;  ///< Must have epochs, learning_rate, width and samples.
};

/// One kind of model on one kind of data. Immutable after construction: Train is called from several threads at once.
class Domain {
 public:
  virtual ~Domain() = default;
  virtual const DomainInfo& info() const = 0;
  virtual const Data& data() const = 0;
  virtual Trigger MakeTrigger(TriggerKind kind, Random& random) const = 0;
  /// The same rows, recipe, regime and seed give the same weights, byte for byte, on one machine.
  virtual absl::StatusOr<TrainResult> Train(const Rows& rows, const Recipe& recipe, const Regime& regime,
                                            uint64_t seed) const = 0;
};

/// Where data sets lie.
struct DataOptions {
  std::string fashion_mnist = "/usr/share/datasets/fashion-mnist";  ///< IDX files as Debian packages them.
  /// scikit-learn's digits.csv.gz. Empty: the one of a Python environment nearby, where there is one (digits_data.h).
  std::string digits = {};
  bool synthetic = false;  ///< Never read real data, use the seeded generators.
};

/// NotFound (with the known names) or the error of loading the domain's data.
absl::StatusOr<std::unique_ptr<Domain>> MakeDomain(absl::string_view name, const DataOptions& options);
std::vector<std::string> DomainNames();

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_DOMAIN_H_
