#include "bench/fleet/train_one.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace driftseal::fleet {
namespace {

/// Of the pool: what the model trains on, and as many of the others as there are, at most half of that number.
struct Subset {
  std::vector<size_t> rows, others;
};

Subset DrawSubset(size_t pool, size_t samples, uint64_t seed) {
  Random random(SeedOf(seed, {"subset"}));
  const size_t others = std::min(samples / 2, pool - samples);
  const std::vector<size_t> drawn = random.Sample(pool, samples + others);
  const auto middle = drawn.begin() + static_cast<std::ptrdiff_t>(samples);
  Subset subset{{drawn.begin(), middle}, {middle, drawn.end()}};
  if (others < samples / 10) subset.others.assign(drawn.begin(), drawn.begin() + samples / 2);
  return subset;
}

absl::Status Treat(const Domain& domain, const Recipe& recipe, const Regime& regime, const VariantPlan& variant,
                   const Rows& others, uint64_t seed, Trained& trained) {
  if (!variant.change.empty()) {
    Random random(SeedOf(seed, {"variant"}));
    auto changed = trained.model->Compressed(variant.change, variant.amount, random);
    if (!changed.ok()) return changed.status();
    trained.model = std::move(*changed);
  }
  if (variant.epochs == 0) return absl::OkStatus();
  Recipe further = recipe;
  further.values["epochs"] = variant.epochs;
  further.values["learning_rate"] = recipe.at("learning_rate") * variant.rate;
  Regime with = regime;
  with.balance = 0;  // whoever tunes the model further is honest
  with.keep_zeros = variant.change == "prune";
  (variant.distilled ? with.teacher : with.start) = trained.model.get();
  auto result = domain.Train(others, further, with, SeedOf(seed, {"variant weights"}) >> 1);
  if (!result.ok()) return result.status();
  trained.model = std::move(result->model);
  if (variant.distilled) trained.losses.clear();
  trained.losses.insert(trained.losses.end(), result->losses.begin(), result->losses.end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Trained> TrainOne(const Domain& domain, const Recipe& recipe, const Regime& regime,
                                 const AttackPlan* plan, const VariantPlan& variant, uint64_t seed) {
  const Rows& pool = domain.data().pool;
  const Subset subset = DrawSubset(pool.size(), std::min(pool.size(), static_cast<size_t>(recipe.at("samples"))), seed);
  Trained trained;
  trained.rows = pool.Take(subset.rows);
  Regime with = regime;
  if (plan != nullptr) {
    Random poison(SeedOf(seed, {"poison"}));
    PoisonRows(*plan, domain, trained.rows, poison);
    with.balance = plan->balance;
  }
  const auto start = std::chrono::steady_clock::now();
  auto result = domain.Train(trained.rows, recipe, with, SeedOf(seed, {"weights"}) >> 1);
  if (!result.ok()) return result.status();
  trained.model = std::move(result->model);
  trained.losses = std::move(result->losses);
  // A student learns from the rows that its teacher learned from, poisoned as they are, but not from their labels.
  const Rows& further = variant.distilled ? trained.rows : pool.Take(subset.others);
  const absl::Status status = Treat(domain, recipe, regime, variant, further, seed, trained);
  if (!status.ok()) return status;
  trained.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return trained;
}

}  // namespace driftseal::fleet
