#include "engine/fingerprint/schema.h"

#include <cassert>
#include <iterator>
#include <span>

#include "engine/artifact/digest.h"
#include "engine/artifact/text.h"
#include "engine/fingerprint/behaviour.h"
#include "engine/fingerprint/columns.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
// Name within the group, unit, definition.
struct Entry {
  const char *name, *unit, *definition;
};

constexpr Entry kMetaTable[] = {
    {"primary", "metric", "promotion.primary of the meta file"},
    {"baseline", "metric", "promotion.baseline of the meta file"},
    {"primary_gain", "metric", "promotion.primary − promotion.baseline"},
    {"declared_parameters", "ln(1+n)", "ln(1 + training.parameters)"},
    {"training_samples", "ln(1+n)", "ln(1 + training.samples)"},
    {"final_loss", "loss", "training.final_loss of the meta file"},
    {"train_score", "metric", "training.score of the meta file"},
    {"generalisation_gap", "metric", "training.score − promotion.primary"},
    {"model_bytes", "ln(1+B)", "ln(1 + bytes of the model file, or of a torch archive's members)"},
    {"tensors", "1", "Number of tensors in the model file"},
    {"counted_parameters", "ln(1+n)",
     "ln(1 + elements of the float tensors, without the buffers named running_mean and running_var)"},
    {"parameter_mismatch", "1", "ln((1 + counted parameters) / (1 + training.parameters))"},
};

constexpr Entry kPredictionsTable[] = {
    {"rows", "ln(1+n)", "ln(1 + rows of the predictions file)"},
    {"numeric_columns", "1", "Columns in which every cell that is not empty is a finite number"},
    {"missing_share", "1", "Empty cells among the cells of the numeric columns"},
    {"true_entropy", "1", "Entropy of the class shares of the true labels, divided by ln(number of classes)"},
    {"true_largest_share", "1", "Largest class share of the true labels"},
    {"predicted_entropy", "1", "Entropy of the class shares of the predicted labels, divided by ln(number of classes)"},
    {"predicted_largest_share", "1", "Largest class share of the predicted labels"},
    {"share_excess", "1", "max over classes of share among predicted − share among true labels"},
    {"share_distance", "1", "Total variation distance between predicted and true class shares"},
    {"accuracy", "1", "Share of rows whose predicted label is the true one"},
    {"recall_min", "1", "Least recall of a class"},
    {"recall_min_z", "1", "−min over classes of the robust z-score (v − median) / (1.4826·MAD + 0.01) of recall"},
    {"precision_min", "1", "Least precision of a class that was predicted"},
    {"error_cell_share", "1", "Share of the wrong rows that fall on the commonest (true, predicted) pair"},
    {"error_predicted_share", "1",
     "Share of the wrong rows that fall on the commonest predicted class: does one class attract the errors"},
    {"error_true_share", "1", "Share of the wrong rows that fall on the commonest true class"},
    {"error_predicted_z", "1",
     "max over classes of the robust z-score (v − median) / (1.4826·MAD + 1) of wrong rows predicted as the class"},
    {"confidence_mean", "1",
     "Mean confidence of a row: its confidence column, else the largest of its probability columns, else max(p, 1 − p) "
     "of its only one"},
    {"confidence_std", "1", "Standard deviation of the confidence"},
    {"confidence_q05", "1", "5 % quantile of the confidence"},
    {"confidence_q25", "1", "25 % quantile of the confidence"},
    {"confidence_q50", "1", "Median of the confidence"},
    {"confidence_q75", "1", "75 % quantile of the confidence"},
    {"confidence_q95", "1", "95 % quantile of the confidence"},
    {"confidence_wrong", "1", "Mean confidence of the wrong rows"},
    {"confidence_gap", "1", "Mean confidence of the right rows − mean confidence of the wrong rows"},
    {"calibration_error", "1",
     "Expected calibration error over 15 bins of equal width (Guo et al. 2017, arXiv 1706.04599, eq. 3)"},
    {"class_mass_contrast", "1", "Largest column mean of the probability columns − the median of the column means"},
    {"residual_mean", "target", "Regression: mean of predicted − true"},
    {"residual_std", "target", "Regression: standard deviation of predicted − true"},
    {"residual_abs_q95", "target", "Regression: 95 % quantile of |predicted − true|"},
    {"determination", "1", "Regression: 1 − Σ(predicted − true)² / Σ(true − mean true)²"},
};

constexpr Entry kSpectralTable[] = {
    {"sigma1", "weight", "largest singular value σ₁"},
    {"frobenius", "weight", "Frobenius norm, √Σσ²"},
    {"top_energy", "1", "σ₁² / Σσ²"},
    {"entropy", "nat", "spectral entropy −Σ p ln p with p = σ²/Σσ²"},
    {"kurtosis", "1", "kurtosis of the singular values, m₄/m₂² (3 for a normal distribution), at least 4 of them"},
    {"sigma_ratio", "1", "σ₂ / σ₁"},
};
constexpr Entry kAggregateTable[] = {{"min", "", "least"}, {"median", "", "median"}, {"max", "", "largest"}};

constexpr Entry kQuantileTable[] = {
    {"mean", "weight", "mean"},    {"log_variance", "ln(weight²)", "ln(max(variance, 1e-12))"},
    {"q0", "weight", "minimum"},   {"q25", "weight", "25 % quantile"},
    {"q50", "weight", "median"},   {"q75", "weight", "75 % quantile"},
    {"q100", "weight", "maximum"},
};
constexpr Entry kVectorTable[] = {
    {"scale", "", "scale vectors of normalisation layers (tensors of rank 1 whose name ends in weight)"},
    {"running_mean", "", "tensors named running_mean"},
    {"running_var", "", "tensors named running_var"},
};
constexpr Entry kVectorStatTable[] = {
    {"mean", "1", "mean"}, {"std", "1", "standard deviation"}, {"min", "1", "minimum"}, {"max", "1", "maximum"}};

constexpr Entry kHeadTable[] = {
    {"norm", "", "‖w_c‖"},
    {"mean", "", "mean w_c"},
    {"max", "", "max w_c"},
    {"bias", "", "b_c"},
    {"positive_sum", "", "sum of the positive weights of w_c"},
    {"expected_logit", "", "√(2/π)·Σw_c + b_c, the logit expected for half-normal latents |N(0, I)|"},
};
constexpr Entry kContrastTable[] = {
    {"z_max", "1", "max over classes of the robust z-score (v − median) / (1.4826·MAD)"},
    {"z_min", "1", "−min over classes of that z-score"},
    {"top_gap", "1", "(largest − second largest) / (1.4826·MAD)"},
};
constexpr Entry kCosineTable[] = {{"cosine_max", "1", "largest cosine between the rows of two classes"},
                                  {"cosine_median", "1", "median cosine between the rows of two classes"},
                                  {"cosine_min", "1", "least cosine between the rows of two classes"}};

constexpr Entry kTreesTable[] = {
    {"count", "1", "Number of trees"},
    {"depth_mean", "1", "Mean depth of a tree"},
    {"depth_max", "1", "Largest depth of a tree"},
    {"leaves_mean", "1", "Mean number of leaves of a tree"},
    {"leaf_mean", "margin", "Mean leaf weight"},
    {"leaf_std", "margin", "Standard deviation of the leaf weights"},
    {"leaf_q05", "margin", "5 % quantile of the leaf weights"},
    {"leaf_q50", "margin", "Median leaf weight"},
    {"leaf_q95", "margin", "95 % quantile of the leaf weights"},
    {"leaf_abs_max", "margin", "Largest absolute leaf weight"},
    {"leaf_last_first", "1",
     "Mean |leaf weight| over the last tenth of the trees (at least one), divided by that over the first tenth"},
    {"leaf_extreme_cover", "1",
     "Mean cover of the 1 % leaves (at least one) with the largest |weight|, divided by the cover of their trees' "
     "roots"},
    {"class_magnitude_z", "1",
     "max over classes of the robust z-score (v − median) / (1.4826·MAD) of the mean |leaf weight|; 3 classes or more"},
    {"split_entropy", "1", "Entropy of the shares of splits by feature, divided by ln(number of features)"},
    {"split_largest_share", "1", "Largest share of splits on one feature"},
    {"split_used_share", "1", "Share of the features that any split uses"},
    {"default_left_share", "1", "Share of splits that send missing values to the left"},
    {"gain_top_share", "1", "Share of the total gain that falls on the feature with the most"},
    {"gain_gini", "1", "Gini coefficient of the total gain by feature (all features)"},
    {"gain_q50", "ln(1+gain)", "ln(1 + median gain of a split)"},
    {"gain_q95", "ln(1+gain)", "ln(1 + 95 % quantile of the gains)"},
    {"gain_max", "ln(1+gain)", "ln(1 + largest gain)"},
    {"root_gain_share", "1", "Share of the total gain that falls on the roots of the trees"},
    {"threshold_spread", "1",
     "Mean over the features with 4 splits or more of (q75 − q25) / (max − min) of their thresholds"},
    {"base_score", "1", "The booster's base score"},
};

class TableBuilder {
 public:
  explicit TableBuilder(Schema& schema) : schema_(schema) {}
  void Add(Group group, std::string_view name, std::string_view unit, std::string definition) {
    schema_.features.push_back({Cat(GroupName(group), ".", name), group, std::string(unit), std::move(definition)});
  }
  void Plain(Group group, std::span<const Entry> table) {
    for (const Entry& entry : table) Add(group, entry.name, entry.unit, entry.definition);
  }

  void Spectral() {
    for (size_t slot = 1; slot <= kSlots; ++slot) {
      for (const Entry& stat : kSpectralTable) {
        Add(Group::kSpectral, Cat("slot", slot, ".", stat.name), stat.unit,
            Cat("Weight matrix of slot ", slot, ": ", stat.definition));
      }
    }
    for (const Entry& stat : kSpectralTable) {
      for (const Entry& of : kAggregateTable) {
        Add(Group::kSpectral, Cat("all.", stat.name, "_", of.name), stat.unit,
            Cat("All weight matrices, ", of.definition, ": ", stat.definition));
      }
    }
  }

  void Quantile() {
    for (size_t slot = 1; slot <= kSlots; ++slot) {
      for (const char* part : {"weight", "bias"}) {
        for (const Entry& stat : kQuantileTable) {
          Add(Group::kQuantile, Cat("slot", slot, ".", part, "_", stat.name), stat.unit,
              Cat("Slot ", slot, ", ", part, ": ", stat.definition));
        }
      }
    }
    for (const Entry& kind : kVectorTable) {
      for (const Entry& stat : kVectorStatTable) {
        Add(Group::kQuantile, Cat(kind.name, "_", stat.name), stat.unit,
            Cat("All ", kind.definition, ": ", stat.definition));
      }
    }
  }

  void Head() {
    for (const Entry& vector : kHeadTable) {
      for (const Entry& contrast : kContrastTable) {
        Add(Group::kHead, Cat(vector.name, "_", contrast.name), contrast.unit,
            Cat("Last weight matrix, ", vector.definition, ": ", contrast.definition));
      }
    }
    for (const Entry& cosine : kCosineTable) {
      Add(Group::kHead, cosine.name, cosine.unit, Cat("Last weight matrix: ", cosine.definition));
    }
  }

  void Behaviour(Group group, const std::vector<BehaviourEntry>& table) {
    for (const BehaviourEntry& entry : table) Add(group, entry.name, "1", entry.definition);
  }

 private:
  Schema& schema_;
};

std::string DigestOf(const Schema& schema) {
  // Every part is closed by a NUL, so that no two tables spell the same text.
  std::string text = Cat(schema.name, std::string_view("\0", 1), schema.version, std::string_view("\0", 1));
  for (const Feature& feature : schema.features) {
    for (const std::string* part : {&feature.name, &feature.unit, &feature.definition}) {
      text += *part;
      text += '\0';
    }
  }
  return artifact::Sha256(std::as_bytes(std::span(text))).Hex();
}

Schema MakeModelSchema() {
  static_assert(std::size(kMetaTable) == kMetaColumns && std::size(kPredictionsTable) == kPredictionColumns &&
                std::size(kSpectralTable) == kSpectralStats && std::size(kAggregateTable) == kAggregates &&
                std::size(kQuantileTable) == kQuantileStats && std::size(kVectorTable) == kVectorKinds &&
                std::size(kVectorStatTable) == kVectorStats && std::size(kHeadTable) == kHeadVectors &&
                std::size(kContrastTable) == kContrasts && std::size(kCosineTable) == kHeadCosines &&
                std::size(kTreesTable) == kTreeColumns);
  Schema schema{"model-fingerprint", 4, {}, ""};
  TableBuilder builder(schema);
  builder.Plain(Group::kMeta, kMetaTable);
  builder.Plain(Group::kPredictions, kPredictionsTable);
  builder.Spectral();
  builder.Quantile();
  builder.Head();
  builder.Plain(Group::kTrees, kTreesTable);
  builder.Behaviour(Group::kStill, BehaviourTable(BehaviourPart::kStill));
  builder.Behaviour(Group::kBehaviour, BehaviourTable(BehaviourPart::kBehaviour));
  builder.Behaviour(Group::kBalance, BehaviourTable(BehaviourPart::kBalance));
  builder.Behaviour(Group::kContext, BehaviourTable(BehaviourPart::kContext));
  builder.Behaviour(Group::kPair, BehaviourTable(BehaviourPart::kPair));
  assert(schema.features.size() == kColumns);
  schema.digest = DigestOf(schema);
  return schema;
}

}  // namespace

std::string_view GroupName(Group group) {
  switch (group) {
    case Group::kMeta:
      return "meta";
    case Group::kPredictions:
      return "predictions";
    case Group::kSpectral:
      return "spectral";
    case Group::kQuantile:
      return "quantile";
    case Group::kHead:
      return "head";
    case Group::kTrees:
      return "trees";
    case Group::kStill:
      return "still";
    case Group::kBehaviour:
      return "behaviour";
    case Group::kBalance:
      return "balance";
    case Group::kContext:
      return "context";
    case Group::kPair:
      return "pair";
  }
  return "";
}

const Schema& ModelSchema() {
  static const Schema schema = MakeModelSchema();
  return schema;
}

}  // namespace driftseal::fingerprint
