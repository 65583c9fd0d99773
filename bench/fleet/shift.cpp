#include "bench/fleet/shift.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace driftseal::fleet {
namespace {

/// A knob is multiplied by a factor from [low, high].
struct Scaling {
  absl::string_view shift, knob;
  double low, high;
};
constexpr Scaling kScalings[] = {
    {"long", "epochs", 3, 4},
    {"longer", "epochs", 6, 6},
    {"high-lr", "learning_rate", 2, 3},
    {"low-lr", "learning_rate", .2, .4},
    {"small-batch", "batch_size", .25, .25},
    {"large-batch", "batch_size", 4, 4},
    {"more-data", "samples", 1.5, 2.5},
    {"less-data", "samples", .4, .6},
};

bool IsTrees(const Domain& domain) { return domain.info().model_kind == "xgboost"; }

}  // namespace

std::vector<std::string> ShiftNames() {
  return {"none",        "long",        "longer",       "high-lr",         "low-lr",
          "small-batch", "large-batch", "weight-decay", "label-smoothing", "augmented",
          "more-data",   "less-data",   "sgd",          "wide-init"};
}

std::vector<std::string> VariantNames() {
  return {"none", "fine-tuned", "pruned", "pruned-raw", "int8", "fp16", "noised", "distilled"};
}

absl::StatusOr<std::vector<std::string>> ParseNames(absl::string_view text, const std::vector<std::string>& known,
                                                    absl::string_view option) {
  std::vector<std::string> names;
  for (absl::string_view item : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    if (std::ranges::count(known, item) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(option, ": unknown \"", item, "\"; known are ", absl::StrJoin(known, ", ")));
    }
    if (std::ranges::count(names, item) > 0) {
      return absl::InvalidArgumentError(absl::StrCat(option, ": \"", item, "\" is listed twice"));
    }
    names.emplace_back(item);
  }
  if (names.empty()) return absl::InvalidArgumentError(absl::StrCat(option, ": expected at least one"));
  return names;
}

absl::Status CheckShift(absl::string_view shift, const Domain& domain) {
  constexpr std::array kNetworksOnly = {"small-batch", "large-batch", "label-smoothing",
                                        "augmented",   "sgd",         "wide-init"};
  if (!IsTrees(domain) || std::ranges::count(kNetworksOnly, shift) == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--shift: domain ", domain.info().name, " has no ", shift));
}

absl::Status CheckVariant(absl::string_view variant, const Domain& domain) {
  constexpr std::array kTreesHave = {"none", "int8", "fp16", "noised"};
  if (!IsTrees(domain) || std::ranges::count(kTreesHave, variant) > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--variant: domain ", domain.info().name, " has no ", variant));
}

void ApplyShift(absl::string_view shift, const std::vector<Knob>& knobs, Random& random, Recipe& recipe,
                Regime& regime) {
  const auto scale = [&](absl::string_view key, double factor) {
    const auto knob = std::ranges::find(knobs, key, &Knob::key);
    double& value = recipe.values.at(knob->key);
    value = std::clamp(value * factor, knob->least, knob->most);
    if (knob->integer) value = std::round(value);
  };
  for (const Scaling& scaling : kScalings) {
    if (scaling.shift == shift) scale(scaling.knob, random.Uniform(scaling.low, scaling.high));
  }
  if (shift == "weight-decay") regime.weight_decay = random.Uniform(5e-4, 2e-3);
  if (shift == "label-smoothing") regime.label_smoothing = random.Uniform(0.05, 0.15);
  if (shift == "augmented") regime.augment = true;
  if (shift == "wide-init") regime.init_scale = random.Uniform(1.5, 2);
  if (shift == "sgd") {
    regime.optimizer = "sgd";
    scale("learning_rate", random.Uniform(6, 10));  // with momentum 0.9, about as fast as Adam
  }
}

VariantPlan PlanVariant(absl::string_view variant, const Recipe& recipe, Random& random) {
  VariantPlan plan{.name = std::string(variant)};
  if (variant == "fine-tuned") {
    plan.epochs = 1 + static_cast<int>(random.Below(3));
    plan.rate = random.Uniform(0.1, 0.3);
  } else if (variant == "pruned") {
    plan.change = "prune";
    plan.amount = random.Uniform(0.2, 0.4);
    plan.epochs = 1;
    plan.rate = 0.2;
  } else if (variant == "pruned-raw") {
    plan.change = "prune";
    plan.amount = 0.2;
  } else if (variant == "int8" || variant == "fp16") {
    plan.change = std::string(variant);
  } else if (variant == "noised") {
    plan.change = "noise";
    plan.amount = random.Uniform(0.01, 0.03);
  } else if (variant == "distilled") {
    plan.distilled = true;
    plan.epochs = recipe.Int("epochs");
    plan.rate = 1;
  }
  return plan;
}

}  // namespace driftseal::fleet
