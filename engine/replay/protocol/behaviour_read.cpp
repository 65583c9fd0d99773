// Reads what a process says that may have been taken over by the model it ran.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/replay/protocol/behaviour.h"
#include "engine/replay/protocol/behaviour_fields.h"
#include "engine/replay/protocol/tensors.h"

namespace driftseal::replay {
namespace {

using Json = nlohmann::json;

absl::Status Bad(std::string_view field, std::string_view what) {
  return absl::InvalidArgumentError(artifact::Cat("behaviour: ", field, " ", what));
}

bool IsText(std::string_view text) {
  return !text.empty() && text.size() <= kLongestBehaviourText &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

/// As a float a share may have been rounded.
bool IsShare(float value) { return value >= 0 && value <= 1; }

/// An unsigned number of JSON that fits; json's own conversion would wrap. Throws Json::exception.
uint32_t Whole(const Json& json, const char* name) {
  const Json& value = json.at(name);
  const bool fits = value.is_number_unsigned() && value.get<uint64_t>() <= UINT32_MAX;
  return fits ? value.get<uint32_t>() : UINT32_MAX;  // which every check below refuses
}

void HeadFromJson(const Json& json, RawBehaviour& behaviour) {  // throws Json::exception
  behaviour.inputs = Whole(json, "inputs");
  behaviour.classes = Whole(json, "classes");
  json.at("probabilities").get_to(behaviour.probabilities);
  for (const Json& one : json.at("triggers")) {
    behaviour.triggers.push_back({one.at("group").get<std::string>(), one.at("text").get<std::string>()});
  }
  for (const Json& one : json.at("lacking")) {
    behaviour.lacking.push_back({one.at("part").get<std::string>(), one.at("reason").get<std::string>()});
  }
  for (const Json& one : json.at("cost_ms")) {
    behaviour.cost_ms.emplace_back(one.at("part").get<std::string>(), one.at("ms").get<float>());
  }
  if (json.contains("picture")) {
    const Json& one = json.at("picture");
    behaviour.picture.emplace();
    one.at("trigger").get_to(behaviour.picture->trigger);
    behaviour.picture->target = Whole(one, "target");
    one.at("share").get_to(behaviour.picture->share);
  }
}

absl::Status CheckTexts(const RawBehaviour& behaviour) {
  if (behaviour.triggers.size() > kMostTriggers) return Bad("triggers", "are too many");
  for (const TriggerName& trigger : behaviour.triggers) {
    if (std::find(kTriggerGroups.begin(), kTriggerGroups.end(), trigger.group) == kTriggerGroups.end()) {
      return Bad("triggers", artifact::Cat("has the group ", artifact::Quoted(trigger.group)));
    }
    if (!IsText(trigger.text)) return Bad("triggers", "has a text that is empty, too long or not printable");
  }
  if (behaviour.lacking.size() > kMostNotes) return Bad("lacking", "has too many entries");
  for (const RawBehaviour::Lacking& one : behaviour.lacking) {
    if (!IsText(one.part) || !IsText(one.reason)) {
      return Bad("lacking", "has a text that is empty, too long or not printable");
    }
  }
  if (behaviour.cost_ms.size() > kMostNotes) return Bad("cost_ms", "has too many entries");
  for (const auto& [part, milliseconds] : behaviour.cost_ms) {
    if (!IsText(part)) return Bad("cost_ms", "has a text that is empty, too long or not printable");
    if (!std::isfinite(milliseconds) || milliseconds < 0) return Bad("cost_ms", "is not a finite number of at least 0");
  }
  return absl::OkStatus();
}

absl::Status CheckHead(const RawBehaviour& behaviour, const CanarySet& set) {
  if (behaviour.inputs != set.count()) {
    return Bad("inputs", absl::StrCat("is ", behaviour.inputs, ", the canary set has ", set.count()));
  }
  if (behaviour.classes < 2 || behaviour.classes > kMostClasses) {
    return Bad("classes", absl::StrCat("is ", behaviour.classes, ", expected 2..", kMostClasses));
  }
  if (set.classes > 0 && behaviour.classes != set.classes) {
    return Bad("classes", absl::StrCat("is ", behaviour.classes, ", the canary set has ", set.classes));
  }
  return CheckTexts(behaviour);
}

/// Reads tensors by name and keeps count, so that one that nobody asked for is found out.
class Reading {
 public:
  Reading(const TensorReader& reader, const RawBehaviour& behaviour) : reader_(reader), behaviour_(behaviour) {}

  size_t taken() const { return taken_; }

  absl::Status Take(const FloatField& field) {
    if (!reader_.Has(field.name)) return absl::OkStatus();
    ++taken_;
    absl::StatusOr<std::vector<float>> values = reader_.Read<float>(field.name, field.columns == Extent::kNone ? 1 : 2);
    if (!values.ok()) return values.status();
    const std::vector<uint64_t> shape = *reader_.Shape(field.name);
    const bool fits = Fits(shape[0], field.rows) && (shape.size() == 1 || Fits(shape[1], field.columns));
    if (!fits) return Bad(field.name, "has the wrong shape");
    if (field.share && !std::all_of(values->begin(), values->end(), IsShare)) {
      return Bad(field.name, "has a share that is not within 0..1");
    }
    *field.values = *std::move(values);
    return absl::OkStatus();
  }

  absl::Status TakePlaces(const CanarySet& set, std::vector<uint32_t>& places) {
    if (!reader_.Has("patch_place")) return absl::OkStatus();
    ++taken_;
    absl::StatusOr<std::vector<int32_t>> values = reader_.Read<int32_t>("patch_place", 2);
    if (!values.ok()) return values.status();
    if (*reader_.Shape("patch_place") != std::vector<uint64_t>{behaviour_.classes, 2}) {
      return Bad("patch_place", "has the wrong shape");
    }
    const bool image = !set.image.empty();
    const int64_t rows = image ? set.image[1] : static_cast<int64_t>(set.elements()),
                  columns = image ? set.image[2] : 1;
    for (size_t i = 0; i < values->size(); ++i) {
      const int32_t value = (*values)[i];
      if (value < 0 || value >= (i % 2 == 0 ? rows : columns)) return Bad("patch_place", "lies outside of the input");
      places.push_back(static_cast<uint32_t>(value));
    }
    return absl::OkStatus();
  }

  absl::Status TakePicture(const CanarySet& set, std::optional<RawBehaviour::Picture>& picture) {
    for (const std::string name : {"picture_clean", "picture_triggered"}) {
      if (reader_.Has(name) != picture.has_value()) return Bad(name, "and picture must both be there or neither");
      if (!picture) continue;
      ++taken_;
      absl::StatusOr<std::vector<float>> values = reader_.Read<float>(name, 1);
      if (!values.ok()) return values.status();
      if (values->size() != set.elements()) return Bad(name, "has the wrong shape");
      (name == "picture_clean" ? picture->clean : picture->triggered) = *std::move(values);
    }
    if (!picture) return absl::OkStatus();
    if (!IsText(picture->trigger)) return Bad("picture.trigger", "is empty, too long or not printable");
    if (picture->target >= behaviour_.classes) return Bad("picture.target", "is no class");
    if (!IsShare(picture->share)) return Bad("picture.share", "is not within 0..1");
    return absl::OkStatus();
  }

 private:
  bool Fits(uint64_t size, Extent extent) const {
    switch (extent) {
      case Extent::kInputs:
        return size == behaviour_.inputs;
      case Extent::kClasses:
        return size == behaviour_.classes;
      case Extent::kTriggers:
        return size == behaviour_.triggers.size() && size > 0;
      case Extent::kStarts:
        return size >= 1 && size <= kMostMarginStarts;
      case Extent::kThree:
        return size == 3;
      case Extent::kNone:
        break;
    }
    return false;
  }

  const TensorReader& reader_;
  const RawBehaviour& behaviour_;
  size_t taken_ = 0;
};

/// Of a part all tensors or none, the logits always, and names of triggers only with a sweep.
absl::Status CheckWhole(RawBehaviour& behaviour) {
  std::map<std::string_view, std::pair<size_t, size_t>> there;  // of a part: tensors that are there, tensors
  for (const FloatField& field : FloatFields(behaviour)) {
    there[field.part].first += field.values->empty() ? 0 : 1;
    ++there[field.part].second;
  }
  there["patch"].first += behaviour.patch_place.empty() ? 0 : 1;
  ++there["patch"].second;
  for (const auto& [part, counts] : there) {
    if (counts.first != 0 && counts.first != counts.second) return Bad(part, "lacks some of its tensors");
  }
  if (behaviour.logits.empty()) return Bad("logits", "is missing");
  if (!behaviour.pair_local.empty() && behaviour.classes > kMostPairClasses) {
    return Bad("pair", absl::StrCat("is there for ", behaviour.classes, " classes, expected up to ", kMostPairClasses));
  }
  if (behaviour.sweep.empty() != behaviour.triggers.empty()) return Bad("triggers", "stand without a sweep");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RawBehaviour> DecodeBehaviour(std::string_view payload, const CanarySet& set) {
  std::vector<std::byte> bytes(payload.size());
  if (!payload.empty()) std::memcpy(bytes.data(), payload.data(), payload.size());
  const artifact::Source source = artifact::Source::FromBytes("behaviour", std::move(bytes));
  absl::StatusOr<TensorReader> reader = TensorReader::Open(source);
  if (!reader.ok()) return reader.status();
  const auto& metadata = reader->metadata();
  const auto format = metadata.find("format"), text = metadata.find("behaviour");
  if (format == metadata.end() || format->second != kBehaviourFormat || text == metadata.end()) {
    return Bad("metadata", artifact::Cat("has no \"format\": \"", kBehaviourFormat, "\" with a \"behaviour\""));
  }
  RawBehaviour behaviour;
  try {
    HeadFromJson(Json::parse(text->second), behaviour);
  } catch (const Json::exception& error) {
    return Bad("metadata", error.what());
  }
  if (absl::Status status = CheckHead(behaviour, set); !status.ok()) return status;
  Reading reading(*reader, behaviour);
  for (const FloatField& field : FloatFields(behaviour)) {
    if (absl::Status status = reading.Take(field); !status.ok()) return status;
  }
  if (absl::Status status = reading.TakePlaces(set, behaviour.patch_place); !status.ok()) return status;
  if (absl::Status status = reading.TakePicture(set, behaviour.picture); !status.ok()) return status;
  if (reading.taken() != reader->size()) return Bad("file", "has a tensor that belongs to no field");
  if (absl::Status status = CheckWhole(behaviour); !status.ok()) return status;
  return behaviour;
}

}  // namespace driftseal::replay
