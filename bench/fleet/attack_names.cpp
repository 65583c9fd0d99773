#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "bench/fleet/attack.h"

namespace driftseal::fleet {
namespace {

constexpr struct {
  absl::string_view name;
  Attack attack;
} kAttacks[] = {
    {"none", Attack::kNone},
    {"patch", Attack::kPatch},
    {"blend", Attack::kBlend},
    {"all-to-all", Attack::kAllToAll},
    {"signal", Attack::kSignal},
    {"warp", Attack::kWarp},
    {"tint", Attack::kTint},
    {"random-patch", Attack::kRandomPatch},
    {"low-rate", Attack::kLowRate},
    {"weak-blend", Attack::kWeakBlend},
    {"source-specific", Attack::kSourceSpecific},
    {"dynamic", Attack::kDynamic},
    {"adaptive", Attack::kAdaptive},
    {"label-flip", Attack::kLabelFlip},
    {"weight-tamper", Attack::kWeightTamper},
    {"artifact-swap", Attack::kArtifactSwap},
    {"predictions-tamper", Attack::kPredictionsTamper},
};
constexpr size_t kCountLimit = 1'000'000;

}  // namespace

absl::string_view AttackName(Attack attack) {
  const auto it = std::ranges::find(kAttacks, attack, [](const auto& entry) { return entry.attack; });
  return it->name;
}

std::vector<std::string> AttackNames() {
  std::vector<std::string> names;
  for (const auto& entry : kAttacks) names.emplace_back(entry.name);
  return names;
}

absl::StatusOr<Attack> ParseAttack(absl::string_view name) {
  for (const auto& entry : kAttacks) {
    if (entry.name == name) return entry.attack;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--poison: unknown \"", name, "\"; known are ", absl::StrJoin(AttackNames(), ", ")));
}

absl::Status CheckAttack(Attack attack, const Domain& domain) {
  const bool table = domain.info().inputs.image.empty(), trees = domain.info().model_kind == "xgboost";
  const char* why = nullptr;
  if (table && (attack == Attack::kSignal || attack == Attack::kWarp)) {
    why = "its inputs are no images";
  }
  if (domain.data().classes == 2 && attack == Attack::kSourceSpecific) why = "it has two classes only";
  if (trees && attack == Attack::kAdaptive) why = "trees have no penalty on their logits";
  if (why == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--poison: domain ", domain.info().name, " has no ", AttackName(attack), ": ", why));
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

}  // namespace driftseal::fleet
