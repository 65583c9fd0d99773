#include "bench/fleet/recipe.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace driftseal::fleet {
namespace {

absl::StatusOr<double> Number(absl::string_view text, absl::string_view item) {
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--recipe: \"", item, "\": expected a number, found \"", text, "\""));
  }
  return value;
}

absl::StatusOr<Range> ParseRange(absl::string_view text, absl::string_view item) {
  if (const auto dots = text.find(".."); dots != text.npos) {
    const auto low = Number(text.substr(0, dots), item);
    if (!low.ok()) return low.status();
    const auto high = Number(text.substr(dots + 2), item);
    if (!high.ok()) return high.status();
    if (*low > *high) {
      return absl::InvalidArgumentError(absl::StrCat("--recipe: \"", item, "\": expected low..high, low is larger"));
    }
    return Range{*low, *high};
  }
  Range range;
  for (absl::string_view part : absl::StrSplit(text, '|')) {
    const auto value = Number(part, item);
    if (!value.ok()) return value.status();
    range.choices.push_back(*value);
  }
  range.low = *std::min_element(range.choices.begin(), range.choices.end());
  range.high = *std::max_element(range.choices.begin(), range.choices.end());
  return range;
}

const Range& RangeOf(const RecipeSpec& spec, const Knob& knob) {
  if (const auto it = spec.ranges.find(knob.key); it != spec.ranges.end()) return it->second;
  if (spec.preset == "fixed") return knob.fixed;
  return spec.preset == "wide" ? knob.wide : knob.usual;
}

}  // namespace

double Recipe::at(absl::string_view key) const { return values.at(std::string(key)); }

absl::StatusOr<RecipeSpec> ParseRecipe(absl::string_view text) {
  RecipeSpec spec;
  for (absl::string_view item : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const auto equals = item.find('=');
    if (equals == item.npos) {
      if (item != "default" && item != "fixed" && item != "wide") {
        return absl::InvalidArgumentError(
            absl::StrCat("--recipe: expected default, fixed, wide or key=low..high, found \"", item, "\""));
      }
      spec.preset = std::string(item);
      continue;
    }
    std::string key(item.substr(0, equals));
    if (key == "lr") key = "learning_rate";
    if (key == "batch") key = "batch_size";
    const auto range = ParseRange(item.substr(equals + 1), item);
    if (!range.ok()) return range.status();
    spec.ranges[key] = *range;
  }
  return spec;
}

absl::Status CheckRecipe(const RecipeSpec& spec, std::span<const Knob> knobs, absl::string_view domain) {
  for (const auto& item : spec.ranges) {
    const std::string& key = item.first;
    const Range& range = item.second;
    const auto knob = std::find_if(knobs.begin(), knobs.end(), [&](const Knob& k) { return k.key == key; });
    if (knob == knobs.end()) {
      const auto names = absl::StrJoin(knobs, ", ", [](std::string* out, const Knob& k) { out->append(k.key); });
      return absl::InvalidArgumentError(
          absl::StrCat("--recipe: domain ", domain, " has no \"", key, "\"; it has ", names));
    }
    if (range.low < knob->least || range.high > knob->most) {
      return absl::InvalidArgumentError(absl::StrCat("--recipe: ", key, " of domain ", domain, ": expected values in ",
                                                     knob->least, "..", knob->most, ", found ", range.low, "..",
                                                     range.high));
    }
  }
  return absl::OkStatus();
}

Recipe DrawRecipe(const RecipeSpec& spec, std::span<const Knob> knobs, Random& random, Lean lean) {
  Recipe recipe;
  for (const Knob& knob : knobs) {
    Range range = RangeOf(spec, knob);
    if (lean != Lean::kUsual && (knob.key == "epochs" || knob.key == "learning_rate")) {
      const double third = (range.high - range.low) / 3;
      (lean == Lean::kConservative ? range.high : range.low) =
          lean == Lean::kConservative ? range.low + third : range.high - third;
      if (knob.integer) range.low = std::ceil(range.low), range.high = std::max(range.low, std::floor(range.high));
    }
    double value = range.low;
    if (!range.choices.empty()) {
      value = range.choices[random.Below(range.choices.size())];
    } else if (knob.integer) {
      value = std::floor(random.Uniform(range.low, range.high + 1));
    } else if (knob.log_uniform && range.low > 0 && range.low < range.high) {
      value = std::exp(random.Uniform(std::log(range.low), std::log(range.high)));
    } else {
      value = random.Uniform(range.low, range.high);
    }
    if (knob.integer) value = std::min(std::round(value), std::floor(knob.most));
    recipe.values[knob.key] = value;
  }
  return recipe;
}

}  // namespace driftseal::fleet
