#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "engine/artifact/text.h"
#include "engine/replay/protocol/behaviour.h"

namespace driftseal::replay {
namespace {

using Json = nlohmann::json;

struct Switch {
  const char* name;
  bool ProbeOptions::*field;
};
constexpr Switch kSwitches[] = {{"sweep", &ProbeOptions::sweep}, {"perturbation", &ProbeOptions::perturbation},
                                {"patch", &ProbeOptions::patch}, {"margin", &ProbeOptions::margin},
                                {"noise", &ProbeOptions::noise}, {"head", &ProbeOptions::head}};
constexpr char kSearchInputs[] = "search_inputs";

/// Whether it is a field of the options and was taken over.
absl::StatusOr<bool> Take(const std::string& name, const Json& value, ProbeOptions& options) {
  for (const Switch& one : kSwitches) {
    if (name != one.name) continue;
    if (!value.is_boolean()) {
      return absl::InvalidArgumentError(absl::StrCat("probe options: ", name, " must be true or false"));
    }
    options.*one.field = value.get<bool>();
    return true;
  }
  if (name != kSearchInputs) return false;
  if (!value.is_number_unsigned() || value.get<uint64_t>() < 1 || value.get<uint64_t>() > kMostCanaryInputs) {
    return absl::InvalidArgumentError(
        absl::StrCat("probe options: search_inputs must be a whole number within 1..", kMostCanaryInputs));
  }
  options.search_inputs = value.get<uint32_t>();
  return true;
}

}  // namespace

std::string EncodeProbeOptions(const ProbeOptions& options) {
  Json json = {{kSearchInputs, options.search_inputs}};
  for (const Switch& one : kSwitches) json[one.name] = options.*one.field;
  return json.dump();
}

absl::StatusOr<ProbeOptions> DecodeProbeOptions(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("probe options: expected a JSON object");
  ProbeOptions options;
  for (const auto& [name, value] : json.items()) {
    absl::StatusOr<bool> taken = Take(name, value, options);
    if (!taken.ok()) return taken.status();
    if (!*taken) {
      return absl::InvalidArgumentError(artifact::Cat("probe options: ", artifact::Quoted(name), " is no option"));
    }
  }
  return options;
}

}  // namespace driftseal::replay
