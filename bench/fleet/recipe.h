#ifndef DRIFTSEAL_BENCH_FLEET_RECIPE_H_
#define DRIFTSEAL_BENCH_FLEET_RECIPE_H_

#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/fleet/random.h"

namespace driftseal::fleet {

/// Values a hyperparameter is drawn from: one of `choices` where there are any, else uniformly from [low, high].
struct Range {
  double low = 0, high = 0;
  std::vector<double> choices = {};
};

/// One hyperparameter of a domain. `key` is its name in --recipe and in the meta file's training.recipe.
struct Knob {
  std::string key;
  bool integer = false;
  bool log_uniform = false;    ///< Drawn uniformly in its logarithm (learning rates).
  double least = 0, most = 0;  ///< What the domain can run.
  Range fixed, usual, wide;    ///< The values of the recipes "fixed", "default" and "wide".
};

/// The hyperparameters of one model.
struct Recipe {
  std::map<std::string, double> values;
  double at(absl::string_view key) const;  ///< The key must be one of the domain's knobs.
  int Int(absl::string_view key) const { return static_cast<int>(at(key)); }
};

/// Where within their ranges an attack's poison rate and the epochs and learning rate of the recipe are drawn.
enum class Lean { kUsual, kConservative, kAggressive };  ///< All of it, its lower third, its upper third.

/// `--recipe`: default, fixed or wide, or "epochs=3..5,learning_rate=0.0005..0.002,width=8|12" over the default.
struct RecipeSpec {
  std::string preset = "default";
  std::map<std::string, Range> ranges;
};

/// InvalidArgument naming the item and what was expected. "lr" is short for learning_rate, "batch" for batch_size.
absl::StatusOr<RecipeSpec> ParseRecipe(absl::string_view text);

/// InvalidArgument when a range of `spec` names no knob of the domain or leaves what the domain can run.
absl::Status CheckRecipe(const RecipeSpec& spec, std::span<const Knob> knobs, absl::string_view domain);

/// Draws one model's hyperparameters, in the order of the knobs. `spec` has passed CheckRecipe.
Recipe DrawRecipe(const RecipeSpec& spec, std::span<const Knob> knobs, Random& random, Lean lean = Lean::kUsual);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_RECIPE_H_
