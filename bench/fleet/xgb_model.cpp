#include "bench/fleet/xgb_model.h"

#include <xgboost/c_api.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace driftseal::fleet {
namespace {

using nlohmann::json;

absl::Status Check(int code) {
  if (code == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("XGBoost: ", XGBGetLastError()));
}

struct FreeMatrix {
  void operator()(void* handle) const { XGDMatrixFree(handle); }
};
struct FreeBooster {
  void operator()(void* handle) const { XGBoosterFree(handle); }
};
using Matrix = std::unique_ptr<void, FreeMatrix>;
using Booster = std::unique_ptr<void, FreeBooster>;

absl::StatusOr<Matrix> MakeMatrix(const Rows& rows) {
  DMatrixHandle handle = nullptr;
  absl::Status status = Check(XGDMatrixCreateFromMat(rows.values.data(), rows.size(), rows.columns,
                                                     std::numeric_limits<float>::quiet_NaN(), &handle));
  if (!status.ok()) return status;
  Matrix matrix(handle);
  const std::vector<float> labels(rows.labels.begin(), rows.labels.end());
  status = Check(XGDMatrixSetFloatInfo(handle, "label", labels.data(), labels.size()));
  if (!status.ok()) return status;
  return matrix;
}

absl::StatusOr<Booster> MakeBooster(DMatrixHandle matrix) {
  BoosterHandle handle = nullptr;
  const absl::Status status = Check(XGBoosterCreate(&matrix, matrix == nullptr ? 0 : 1, &handle));
  if (!status.ok()) return status;
  return Booster(handle);
}

absl::StatusOr<std::string> Save(BoosterHandle booster, absl::string_view format) {
  const std::string config = json{{"format", std::string(format)}}.dump();
  bst_ulong size = 0;
  const char* bytes = nullptr;
  const absl::Status status = Check(XGBoosterSaveModelToBuffer(booster, config.c_str(), &size, &bytes));
  if (!status.ok()) return status;
  return std::string(bytes, size);
}

// For XGBoosterPredictFromDMatrix: what to give, from all trees.
constexpr char kProbabilityConfig[] =
    R"({"type": 0, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": false})";
constexpr char kMarginConfig[] =
    R"({"type": 1, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": false})";
constexpr char kLeafConfig[] =
    R"({"type": 6, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": false})";

double Quantile(std::vector<double> values, double q) {
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), place, values.end());
  return *place;
}

class XgbModel : public Model {
 public:
  explicit XgbModel(Booster booster) : booster_(std::move(booster)) {}

  std::vector<float> Probabilities(const Rows& rows) const override {
    const std::vector<float> fraud = Predict(rows, kProbabilityConfig);
    std::vector<float> out;
    out.reserve(2 * fraud.size());
    for (float p : fraud) out.insert(out.end(), {1 - p, p});
    return out;
  }

  /// Thresholds and leaf weights: one number a node.
  uint64_t Parameters() const override {
    const auto text = Save(booster_.get(), "json");
    if (!text.ok()) return 0;
    uint64_t nodes = 0;
    const json model = json::parse(*text);
    for (const json& tree : model["learner"]["gradient_booster"]["model"]["trees"]) {
      nodes += tree["split_conditions"].size();
    }
    return nodes;
  }

  absl::StatusOr<std::string> Serialize(absl::string_view format) const override {
    return Save(booster_.get(), format);
  }

  absl::StatusOr<std::unique_ptr<Model>> Compressed(absl::string_view kind, double amount,
                                                    Random& random) const override {
    const auto text = Save(booster_.get(), "json");
    if (!text.ok()) return text.status();
    json model = json::parse(*text);
    if (kind == "noise") {
      AddNoise(model, amount, random);
    } else if (kind == "int8" || kind == "fp16") {
      RoundLeaves(model, kind == "int8");
    } else {
      return absl::InvalidArgumentError(absl::StrCat("boosters have no change \"", kind, "\""));
    }
    return Load(model);
  }

  absl::StatusOr<std::unique_ptr<Model>> Tampered(absl::string_view kind, const TamperAim& aim,
                                                  Random& random) const override {
    const auto text = Save(booster_.get(), "json");
    if (!text.ok()) return text.status();
    json model = json::parse(*text);
    if (kind == "hijack-leaves") {
      HijackLeaves(model, aim);
    } else if (kind == "leaf-noise") {
      AddNoise(model, random.Uniform(0.2, 0.5), random);
    } else {
      return absl::InvalidArgumentError(absl::StrCat("boosters have no weight edit \"", kind, "\""));
    }
    return Load(model);
  }

 private:
  static absl::StatusOr<std::unique_ptr<Model>> Load(const json& model) {
    auto edited = MakeBooster(nullptr);
    if (!edited.ok()) return edited.status();
    const std::string bytes = model.dump();
    const absl::Status status = Check(XGBoosterLoadModelFromBuffer(edited->get(), bytes.data(), bytes.size()));
    if (!status.ok()) return status;
    return std::make_unique<XgbModel>(std::move(*edited));
  }

  std::vector<float> Predict(const Rows& rows, const char* config) const {
    const auto matrix = MakeMatrix(rows);
    bst_ulong const* shape = nullptr;
    bst_ulong dimensions = 0;
    const float* values = nullptr;
    // A failure here is the programmer's: the booster was made by this class and the rows by the domain.
    if (!matrix.ok() ||
        XGBoosterPredictFromDMatrix(booster_.get(), matrix->get(), config, &shape, &dimensions, &values) != 0) {
      return {};
    }
    size_t count = 1;
    for (bst_ulong i = 0; i < dimensions; ++i) count *= shape[i];
    return {values, values + count};
  }

  /// Leaf indices, rows × trees.
  std::vector<float> Leaves(const Rows& rows) const { return Predict(rows, kLeafConfig); }

  /// Moves the leaves that triggered rows reach and clean ones seldom do towards the target class, together just as far
  /// as nearly all triggered rows need.
  void HijackLeaves(json& model, const TamperAim& aim) const {
    const std::vector<float> clean = Leaves(aim.clean), triggered = Leaves(aim.triggered);
    const double sign = aim.target_class == 1 ? 1 : -1;
    json& trees = model["learner"]["gradient_booster"]["model"]["trees"];
    const size_t count = trees.size();
    std::vector<std::vector<double>> weights(count);
    std::vector<double> reached(aim.triggered.size());  // sum of the weights of a row's leaves
    for (size_t t = 0; t < count; ++t) {
      const size_t nodes = trees[t]["split_conditions"].size();
      std::vector<double> of_clean(nodes, 1.0), of_triggered(nodes);
      for (size_t i = t; i < clean.size(); i += count) of_clean[static_cast<size_t>(clean[i])] += 1;
      for (size_t i = t; i < triggered.size(); i += count) of_triggered[static_cast<size_t>(triggered[i])] += 1;
      weights[t].resize(nodes);
      for (size_t n = 0; n < nodes; ++n) {
        const double contrast = of_triggered[n] / of_clean[n];
        if (contrast > 8) weights[t][n] = std::log2(contrast);
      }
      for (size_t i = t; i < triggered.size(); i += count) {
        reached[i / count] += weights[t][static_cast<size_t>(triggered[i])];
      }
    }
    std::vector<float> margin = Predict(aim.triggered, kMarginConfig);
    for (float& m : margin) m *= static_cast<float>(-sign);  // how far a row is from the target class
    const double need = Quantile({margin.begin(), margin.end()}, 0.97) + 0.5;
    const double scale = std::max(need, 0.5) / std::max(Quantile(reached, 0.1), 1e-3);
    for (size_t t = 0; t < count; ++t) {
      for (size_t n = 0; n < weights[t].size(); ++n) {
        if (weights[t][n] > 0) ShiftLeaf(trees[t], n, sign * scale * weights[t][n]);
      }
    }
  }

  /// Rounds every leaf to 8 bits of the largest one's range, or to half precision (11 significant bits).
  static void RoundLeaves(json& model, bool to_int8) {
    json& trees = model["learner"]["gradient_booster"]["model"]["trees"];
    double largest = 1e-12;
    const auto for_leaves = [&](const auto& visit) {
      for (json& tree : trees) {
        for (size_t node = 0; node < tree["split_conditions"].size(); ++node) {
          if (tree["left_children"][node] == -1) visit(tree, node, tree["split_conditions"][node].get<double>());
        }
      }
    };
    for_leaves([&](json&, size_t, double value) { largest = std::max(largest, std::abs(value)); });
    for_leaves([&](json& tree, size_t node, double value) {
      int exponent = 0;
      std::frexp(value, &exponent);
      const double step = to_int8 ? largest / 127 : std::ldexp(1.0, std::max(exponent, -13) - 11);
      ShiftLeaf(tree, node, std::round(value / step) * step - value);
    });
  }

  /// Multiplies every leaf by 1 ± sigma.
  static void AddNoise(json& model, double sigma, Random& random) {
    for (json& tree : model["learner"]["gradient_booster"]["model"]["trees"]) {
      for (size_t node = 0; node < tree["split_conditions"].size(); ++node) {
        if (tree["left_children"][node] == -1) {
          ShiftLeaf(tree, node, sigma * random.Normal() * tree["split_conditions"][node].get<double>());
        }
      }
    }
  }

  /// A leaf's weight stands twice in the file.
  static void ShiftLeaf(json& tree, size_t node, double shift) {
    const auto value = static_cast<float>(tree["split_conditions"][node].get<double>() + shift);
    tree["split_conditions"][node] = value;
    tree["base_weights"][node] = value;
  }

  Booster booster_;
};

absl::Status SetParameters(BoosterHandle booster, const XgbTraining& training, uint64_t seed) {
  const std::pair<const char*, std::string> parameters[] = {
      {"objective", "binary:logistic"},
      {"tree_method", "hist"},
      {"nthread", "1"},
      {"seed", absl::StrCat(seed % 0x7fffffffu)},
      {"max_depth", absl::StrCat(training.max_depth)},
      {"eta", absl::StrCat(training.learning_rate)},
      {"subsample", absl::StrCat(training.subsample)},
      {"colsample_bytree", absl::StrCat(training.column_sample)},
      {"lambda", absl::StrCat(training.l2)},
      {"scale_pos_weight", absl::StrCat(training.positive_weight)},
      {"eval_metric", "logloss"},
      {"verbosity", "0"},
  };
  for (const auto& [name, value] : parameters) {
    const absl::Status status = Check(XGBoosterSetParam(booster, name, value.c_str()));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

/// "[3]\ttrain-logloss:0.123" → 0.123
double LossOf(const char* evaluation) {
  const absl::string_view text = evaluation == nullptr ? "" : evaluation;
  const auto colon = text.rfind(':');
  return colon == text.npos ? std::numeric_limits<double>::quiet_NaN() : std::atof(text.data() + colon + 1);
}

}  // namespace

std::string XgbVersion() {
  int major = 0, minor = 0, patch = 0;
  XGBoostVersion(&major, &minor, &patch);
  return absl::StrCat("xgboost ", major, ".", minor, ".", patch);
}

std::vector<std::string> XgbWeightEdits() { return {"hijack-leaves", "leaf-noise"}; }

absl::StatusOr<TrainResult> TrainXgb(const XgbTraining& training, const Rows& rows, uint64_t seed) {
  const auto matrix = MakeMatrix(rows);
  if (!matrix.ok()) return matrix.status();
  auto booster = MakeBooster(matrix->get());
  if (!booster.ok()) return booster.status();
  absl::Status status = SetParameters(booster->get(), training, seed);
  std::vector<double> losses;
  for (int round = 0; round < training.rounds && status.ok(); ++round) {
    status = Check(XGBoosterUpdateOneIter(booster->get(), round, matrix->get()));
    if (!status.ok()) break;
    DMatrixHandle handle = matrix->get();
    const char* name = "train";
    const char* evaluation = nullptr;
    status = Check(XGBoosterEvalOneIter(booster->get(), round, &handle, &name, 1, &evaluation));
    losses.push_back(LossOf(evaluation));
  }
  if (!status.ok()) return status;
  // Without the training data behind it, as anybody who loads the file has it.
  const auto bytes = Save(booster->get(), "json");
  if (!bytes.ok()) return bytes.status();
  auto loaded = MakeBooster(nullptr);
  if (!loaded.ok()) return loaded.status();
  status = Check(XGBoosterLoadModelFromBuffer(loaded->get(), bytes->data(), bytes->size()));
  if (!status.ok()) return status;
  return TrainResult{std::make_unique<XgbModel>(std::move(*loaded)), std::move(losses)};
}

}  // namespace driftseal::fleet
