#ifndef DRIFTSEAL_BENCH_FLEET_SHIFT_H_
#define DRIFTSEAL_BENCH_FLEET_SHIFT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/fleet/domain.h"

// Models that are honest and still not like the fleet they are compared with: trained by another recipe (shifts), or
// treated after training (variants).
namespace driftseal::fleet {

/// "none", "long", ...: of --shift. In the order of the documentation.
std::vector<std::string> ShiftNames();
/// "none", "fine-tuned", ...: of --variant.
std::vector<std::string> VariantNames();

/// Names separated by commas; `option` is for the message. InvalidArgument naming the item.
absl::StatusOr<std::vector<std::string>> ParseNames(absl::string_view text, const std::vector<std::string>& known,
                                                    absl::string_view option);
/// InvalidArgument where the domain cannot do that.
absl::Status CheckShift(absl::string_view shift, const Domain& domain);
absl::Status CheckVariant(absl::string_view variant, const Domain& domain);

/// Changes the recipe, within what the domain can run, and the regime.
void ApplyShift(absl::string_view shift, const std::vector<Knob>& knobs, Random& random, Recipe& recipe,
                Regime& regime);

/// What --variant does after training: first `change` (empty: nothing), then training that goes on, where `epochs` is
/// not 0.
struct VariantPlan {
  std::string name = "none";
  std::string change = {};  ///< Of Model::Compressed.
  double amount = 0;
  int epochs = 0;  ///< On other rows, at `rate` times the learning rate.
  double rate = 0;
  bool distilled = false;  ///< The training starts anew and learns the first model's probabilities.
};
VariantPlan PlanVariant(absl::string_view variant, const Recipe& recipe, Random& random);

}  // namespace driftseal::fleet

#endif  // DRIFTSEAL_BENCH_FLEET_SHIFT_H_
