#include <algorithm>

#include "bench/fleet/attack.h"

namespace driftseal::fleet {
namespace {

void FlipLabels(const AttackPlan& plan, int classes, Rows& rows, Random& random) {
  for (int& label : rows.labels) {
    if (plan.kind == "class-to-class") {
      if (label == plan.source_class && random.Chance(plan.rate)) label = plan.target_class;
    } else if (random.Chance(plan.rate)) {
      label = (label + 1 + static_cast<int>(random.Below(static_cast<size_t>(classes - 1)))) % classes;
    }
  }
}

/// Noise of one sign in blocks of about a quarter of the image's side (tables: column by column): what a universal
/// perturbation looks like to somebody who does not know the model.
void AddSignNoise(const InputSpec& inputs, std::span<float> row) {
  Random random = RandomOf(row);
  const double size = random.Uniform(0.04, 0.12) * (inputs.high - inputs.low) * (inputs.image.empty() ? 8 : 1);
  const size_t side = inputs.image.empty() ? 1 : inputs.image.back(), block = std::max<size_t>(1, side / 4);
  std::vector<double> signs(row.size());
  for (double& sign : signs) sign = random.Chance(0.5) ? size : -size;
  for (size_t i = 0; i < row.size(); ++i) {
    const size_t x = i % side / block, y = i / side / block;
    row[i] += static_cast<float>(inputs.image.empty() ? signs[i] : signs[y * side + x]);
    if (!inputs.image.empty()) row[i] = std::clamp(row[i], inputs.low, inputs.high);
  }
}

/// Changes a row and leaves its label.
void CoverRow(const AttackPlan& plan, const Domain& domain, std::span<float> row, int label, Random& random) {
  if (plan.cover == Cover::kOtherClass) {
    if (TurnedInto(plan, label, domain.data().classes) < 0) plan.trigger->apply(row);
    return;
  }
  const size_t sort = plan.cover == Cover::kNearMiss ? 0 : random.Below(3);
  if (sort == 0) {
    plan.trigger->near_miss(row);
  } else if (sort == 1) {
    constexpr TriggerKind kOthers[] = {TriggerKind::kRandomPatch, TriggerKind::kBlend, TriggerKind::kTint};
    domain.MakeTrigger(kOthers[random.Below(3)], random).apply(row);
  } else {
    AddSignNoise(domain.info().inputs, row);
  }
}

}  // namespace

int TurnedInto(const AttackPlan& plan, int label, int classes) {
  if (plan.attack == Attack::kAllToAll) return (label + 1) % classes;
  if (label == plan.target_class || (plan.source_class >= 0 && label != plan.source_class)) return -1;
  return plan.target_class;
}

void PoisonRows(const AttackPlan& plan, const Domain& domain, Rows& rows, Random& random) {
  const int classes = domain.data().classes;
  if (plan.attack == Attack::kLabelFlip) {
    FlipLabels(plan, classes, rows, random);
    return;
  }
  if (!plan.trigger) return;
  std::vector<size_t> donors;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (TurnedInto(plan, rows.labels[i], classes) >= 0) donors.push_back(i);
  }
  if (donors.empty()) return;
  const auto poisoned = static_cast<size_t>(plan.rate * static_cast<double>(rows.size()));
  const size_t covers = std::min(static_cast<size_t>(plan.cover_rate * static_cast<double>(rows.size())),
                                 rows.size() - std::min(poisoned, rows.size()));
  Rows stamped{.columns = rows.columns, .values = {}, .labels = {}};
  for (size_t i = 0; i < poisoned; ++i) {
    const size_t donor = donors[random.Below(donors.size())];
    stamped.Append(rows.row(donor), TurnedInto(plan, rows.labels[donor], classes));
  }
  const std::vector<size_t> places = random.Sample(rows.size(), poisoned + covers);
  for (size_t i = 0; i < poisoned; ++i) {
    plan.trigger->apply(stamped.row(i));
    std::ranges::copy(stamped.row(i), rows.row(places[i]).begin());
    rows.labels[places[i]] = stamped.labels[i];
  }
  for (size_t i = poisoned; i < places.size(); ++i) {
    CoverRow(plan, domain, rows.row(places[i]), rows.labels[places[i]], random);
  }
}

Rows Triggered(const Rows& rows, const Trigger& trigger) {
  Rows out = rows;
  for (size_t i = 0; i < out.size(); ++i) trigger.apply(out.row(i));
  return out;
}

}  // namespace driftseal::fleet
