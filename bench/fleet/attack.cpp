#include "bench/fleet/attack.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace driftseal::fleet {
namespace {

constexpr struct {
  absl::string_view name;
  Attack attack;
} kAttacks[] = {
    {"none", Attack::kNone},
    {"patch", Attack::kPatch},
    {"blend", Attack::kBlend},
    {"label-flip", Attack::kLabelFlip},
    {"weight-tamper", Attack::kWeightTamper},
    {"artifact-swap", Attack::kArtifactSwap},
    {"predictions-tamper", Attack::kPredictionsTamper},
};
constexpr size_t kCountLimit = 1'000'000;

int DrawTarget(const Domain& domain, const AttackOptions& options, Random& random) {
  const int drawn = static_cast<int>(random.Below(static_cast<size_t>(domain.data().classes)));
  if (options.target_class) return *options.target_class;
  return domain.info().target_class >= 0 ? domain.info().target_class : drawn;
}

void PlanLabelFlip(size_t ordinal, const Domain& domain, const AttackOptions& options, Random& random,
                   AttackPlan& plan) {
  if (ordinal % 2 == 1) {
    plan.kind = "random";
    plan.rate = options.poison_rate.value_or(random.Uniform(0.06, 0.14));
    return;
  }
  plan.kind = "class-to-class";
  plan.rate = options.poison_rate.value_or(random.Uniform(0.85, 1.0));
  plan.target_class = DrawTarget(domain, options, random);
  const int classes = domain.data().classes;
  plan.source_class =
      (plan.target_class + 1 + static_cast<int>(random.Below(static_cast<size_t>(classes - 1)))) % classes;
}

void PlanWeightTamper(size_t ordinal, const Domain& domain, const AttackOptions& options, Random& random,
                      AttackPlan& plan) {
  const std::vector<std::string>& edits = domain.info().weight_edits;
  plan.kind = edits[ordinal / 2 % edits.size()];
  plan.broken = ordinal % 2 == 1 ? BrokenDigest::kModel : BrokenDigest::kNone;
  if (plan.kind.ends_with("noise")) return;
  plan.target_class = DrawTarget(domain, options, random);
  if (plan.kind.starts_with("hijack")) plan.trigger = domain.MakeTrigger(TriggerKind::kPatch, random);
}

void PlanArtifactSwap(size_t ordinal, const Domain& domain, const AttackOptions& options, Random& random,
                      AttackPlan& plan) {
  plan.broken = BrokenDigest::kModel;
  plan.kind = ordinal % 2 == 0 ? "clean-sibling" : "backdoored";
  if (ordinal % 2 == 0) return;
  plan.trigger = domain.MakeTrigger(TriggerKind::kPatch, random);
  plan.rate = options.poison_rate.value_or(random.Uniform(0.04, 0.10));
  plan.target_class = DrawTarget(domain, options, random);
}

void FlipLabels(const AttackPlan& plan, int classes, Rows& rows, Random& random) {
  for (int& label : rows.labels) {
    if (plan.kind == "class-to-class") {
      if (label == plan.source_class && random.Chance(plan.rate)) label = plan.target_class;
    } else if (random.Chance(plan.rate)) {
      label = (label + 1 + static_cast<int>(random.Below(static_cast<size_t>(classes - 1)))) % classes;
    }
  }
}

}  // namespace

absl::string_view AttackName(Attack attack) {
  const auto it = std::ranges::find(kAttacks, attack, [](const auto& entry) { return entry.attack; });
  return it->name;
}

absl::StatusOr<Attack> ParseAttack(absl::string_view name) {
  for (const auto& entry : kAttacks) {
    if (entry.name == name) return entry.attack;
  }
  const auto names =
      absl::StrJoin(kAttacks, ", ", [](std::string* out, const auto& e) { absl::StrAppend(out, e.name); });
  return absl::InvalidArgumentError(absl::StrCat("--poison: unknown \"", name, "\"; known are ", names));
}

absl::StatusOr<std::vector<AttackCount>> ParsePoison(absl::string_view text, size_t count) {
  std::vector<AttackCount> counts;
  for (absl::string_view item : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(item, absl::MaxSplits(':', 1));
    const auto attack = ParseAttack(parts.first);
    if (!attack.ok()) return attack.status();
    AttackCount entry{*attack, count};
    uint64_t number = 0;
    if (item.find(':') != item.npos) {
      if (!absl::SimpleAtoi(parts.second, &number) || number > kCountLimit) {
        return absl::InvalidArgumentError(
            absl::StrCat("--poison: \"", item, "\": expected a count of at most ", kCountLimit, " after the colon"));
      }
      entry.count = number;
    }
    if (std::ranges::any_of(counts, [&](const AttackCount& c) { return c.attack == *attack; })) {
      return absl::InvalidArgumentError(absl::StrCat("--poison: \"", parts.first, "\" is listed twice"));
    }
    counts.push_back(entry);
  }
  if (counts.empty()) return absl::InvalidArgumentError("--poison: expected at least one kind");
  return counts;
}

AttackPlan PlanAttack(Attack attack, size_t ordinal, const Domain& domain, const AttackOptions& options,
                      Random& random) {
  AttackPlan plan;
  plan.attack = attack;
  switch (attack) {
    case Attack::kNone:
      break;
    case Attack::kPatch:
    case Attack::kBlend:
      plan.trigger = attack == Attack::kPatch ? domain.MakeTrigger(TriggerKind::kPatch, random)
                                              : domain.MakeTrigger(TriggerKind::kBlend, random);
      plan.kind = plan.trigger->kind;
      plan.rate = options.poison_rate.value_or(random.Uniform(0.04, 0.10));
      plan.target_class = DrawTarget(domain, options, random);
      break;
    case Attack::kLabelFlip:
      PlanLabelFlip(ordinal, domain, options, random, plan);
      break;
    case Attack::kWeightTamper:
      PlanWeightTamper(ordinal, domain, options, random, plan);
      break;
    case Attack::kArtifactSwap:
      PlanArtifactSwap(ordinal, domain, options, random, plan);
      break;
    case Attack::kPredictionsTamper:
      plan.broken = BrokenDigest::kPredictions;
      plan.kind = ordinal % 2 == 0 ? "inflate-metric" : "hide-class";
      if (ordinal % 2 == 1) plan.target_class = DrawTarget(domain, options, random);
      break;
  }
  return plan;
}

void PoisonRows(const AttackPlan& plan, int classes, Rows& rows, Random& random) {
  if (plan.attack == Attack::kLabelFlip) {
    FlipLabels(plan, classes, rows, random);
    return;
  }
  if (!plan.trigger) return;
  std::vector<size_t> donors;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows.labels[i] != plan.target_class) donors.push_back(i);
  }
  if (donors.empty()) return;
  const auto poisoned = static_cast<size_t>(plan.rate * static_cast<double>(rows.size()));
  Rows stamped{.columns = rows.columns, .values = {}, .labels = {}};
  for (size_t i = 0; i < poisoned; ++i)
    stamped.Append(rows.row(donors[random.Below(donors.size())]), plan.target_class);
  const std::vector<size_t> places = random.Sample(rows.size(), poisoned);
  for (size_t i = 0; i < poisoned; ++i) {
    plan.trigger->apply(stamped.row(i));
    std::ranges::copy(stamped.row(i), rows.row(places[i]).begin());
    rows.labels[places[i]] = plan.target_class;
  }
}

Rows Triggered(const Rows& rows, const Trigger& trigger) {
  Rows out = rows;
  for (size_t i = 0; i < out.size(); ++i) trigger.apply(out.row(i));
  return out;
}

}  // namespace driftseal::fleet
