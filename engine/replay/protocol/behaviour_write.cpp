#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/replay/protocol/behaviour.h"
#include "engine/replay/protocol/behaviour_fields.h"
#include "engine/replay/protocol/tensors.h"

namespace driftseal::replay {
namespace {

using Json = nlohmann::json;

/// Printable ASCII, cut: some of it comes from the model's own code.
std::string Clean(const std::string& text) {
  std::string clean = text.substr(0, kLongestBehaviourText);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return clean;
}

Json HeadOf(const RawBehaviour& behaviour) {
  Json triggers = Json::array(), lacking = Json::array(), cost = Json::array();
  for (const TriggerName& trigger : behaviour.triggers) {
    triggers.push_back({{"group", trigger.group}, {"text", Clean(trigger.text)}});
  }
  for (const RawBehaviour::Lacking& one : behaviour.lacking) {
    lacking.push_back({{"part", Clean(one.part)}, {"reason", Clean(one.reason)}});
  }
  for (const auto& [part, milliseconds] : behaviour.cost_ms) {
    cost.push_back({{"part", Clean(part)}, {"ms", milliseconds}});
  }
  Json head = {
      {"inputs", behaviour.inputs},      {"classes", behaviour.classes},  {"probabilities", behaviour.probabilities},
      {"triggers", std::move(triggers)}, {"lacking", std::move(lacking)}, {"cost_ms", std::move(cost)}};
  if (behaviour.picture) {
    head["picture"] = {{"trigger", Clean(behaviour.picture->trigger)},
                       {"target", behaviour.picture->target},
                       {"share", behaviour.picture->share}};
  }
  return head;
}

}  // namespace

absl::StatusOr<std::string> EncodeBehaviour(const RawBehaviour& behaviour) {
  std::vector<artifact::NamedTensor> tensors;
  // The table serves the reader too and so takes a behaviour that can be changed.
  for (const FloatField& field : FloatFields(const_cast<RawBehaviour&>(behaviour))) {
    const size_t size = field.values->size();
    if (size == 0) continue;
    const size_t rows = field.rows == Extent::kInputs     ? behaviour.inputs
                        : field.rows == Extent::kTriggers ? behaviour.triggers.size()
                        : field.rows == Extent::kThree    ? 3
                                                          : behaviour.classes;
    if (rows == 0 || size % rows != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("behaviour: ", field.name, " has ", size, " values for ", rows, " rows"));
    }
    std::vector<uint64_t> shape = {rows};
    if (field.columns != Extent::kNone) shape.push_back(size / rows);
    tensors.push_back(Tensor(field.name, std::move(shape), *field.values));
  }
  if (!behaviour.patch_place.empty()) {
    const std::vector<int32_t> place(behaviour.patch_place.begin(), behaviour.patch_place.end());
    tensors.push_back(Tensor("patch_place", {place.size() / 2, 2}, place));
  }
  if (behaviour.picture) {
    for (const auto& [name, values] : {std::pair{"picture_clean", &behaviour.picture->clean},
                                       {"picture_triggered", &behaviour.picture->triggered}}) {
      tensors.push_back(Tensor(name, {values->size()}, *values));
    }
  }
  return artifact::WriteSafetensors(tensors, {{"format", kBehaviourFormat}, {"behaviour", HeadOf(behaviour).dump()}});
}

}  // namespace driftseal::replay
