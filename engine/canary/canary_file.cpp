// The file of a model's canaries and their expected outputs: docs/formats/canary.md.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "engine/artifact/model_file.h"
#include "engine/artifact/text.h"
#include "engine/canary/materialize.h"
#include "engine/replay/protocol/tensors.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;
using Json = nlohmann::json;
using replay::CanarySet;
using replay::Tensor;

constexpr char kFormat[] = "driftseal-canary-outputs/1";

std::vector<uint64_t> ShapeOf(const CanarySet& set) {
  std::vector<uint64_t> shape = {set.count()};
  shape.insert(shape.end(), set.shape.begin(), set.shape.end());
  return shape;
}

// The metadata, as it stands in the file.
struct Head {
  std::string model_sha256, hash, inputs_sha256;
  HashParameters parameters;
};

// Whole numbers alone: json's own conversion would wrap and cut. Throws Json::exception.
uint32_t Whole(const Json& value) {
  const bool fits = value.is_number_unsigned() && value.get<uint64_t>() <= UINT32_MAX;
  return fits ? value.get<uint32_t>() : UINT32_MAX;  // Which every check refuses.
}
std::vector<uint32_t> Sizes(const Json& array) {
  std::vector<uint32_t> sizes;
  for (const Json& size : array) sizes.push_back(Whole(size));
  return sizes;
}

void HeadFromJson(const Json& set, const Json& behaviour, CanaryFile& file, Head& head) {  // throws Json::exception
  set.at("name").get_to(file.set.name);
  set.at("domain").get_to(file.set.domain);
  set.at("task").get_to(file.set.task);
  file.set.shape = Sizes(set.at("shape"));
  file.set.image = Sizes(set.at("image"));
  file.set.classes = Whole(set.at("classes"));
  set.at("low").get_to(file.set.low);
  set.at("high").get_to(file.set.high);
  file.classes = Whole(behaviour.at("classes"));
  behaviour.at("probabilities").get_to(file.probabilities);
  behaviour.at("hash").get_to(head.hash);
  behaviour.at("inputs_sha256").get_to(head.inputs_sha256);
  behaviour.at("step").get_to(head.parameters.step);
  behaviour.at("bound").get_to(head.parameters.bound);
  head.parameters.order = Whole(behaviour.at("order"));
}

// Reads one file and prefixes every error with its name.
class Reading {
 public:
  explicit Reading(const artifact::Source& source) : source_(source) {}

  absl::StatusOr<CanaryFile> Read() {
    if (source_.size() > kMostCanaryFileBytes) {
      return absl::ResourceExhaustedError(
          Cat(source_.name(), ": ", source_.size(), " bytes, the limit is ", kMostCanaryFileBytes));
    }
    absl::StatusOr<replay::TensorReader> reader = replay::TensorReader::Open(source_);
    if (!reader.ok()) return reader.status();
    CanaryFile file;
    Head head;
    if (absl::Status status = ReadHead(reader->metadata(), file, head); !status.ok()) return status;
    if (absl::Status status = ReadTensors(*reader, file); !status.ok()) return status;
    if (absl::Status status = Check(head, file); !status.ok()) return status;
    if (absl::Status status = source_.CheckUnchanged(); !status.ok()) return status;
    return file;
  }

 private:
  absl::Status Bad(std::string_view what) const { return absl::InvalidArgumentError(Cat(source_.name(), ": ", what)); }

  absl::Status ReadHead(const std::map<std::string, std::string>& metadata, CanaryFile& file, Head& head) const {
    const auto text = [&](const char* key) {
      const auto found = metadata.find(key);
      return found == metadata.end() ? std::string() : found->second;
    };
    if (text("format") != kFormat) return Bad(Cat("the metadata has no \"format\": \"", kFormat, "\""));
    head.model_sha256 = text("model_sha256");
    try {
      HeadFromJson(Json::parse(text("set")), Json::parse(text("behaviour")), file, head);
    } catch (const Json::exception& error) {
      return Bad(Cat("metadata: ", error.what()));
    }
    if (file.set.elements() == 0) return Bad("set.shape: expected no size of 0 and not too many elements");
    if (file.classes < 2 || file.classes > replay::kMostClasses) {
      return Bad(Cat("behaviour.classes: expected 2 to ", replay::kMostClasses));
    }
    return absl::OkStatus();
  }

  absl::Status ReadTensors(const replay::TensorReader& reader, CanaryFile& file) const {
    if (reader.size() != 4) return Bad("expected the tensors inputs, labels, outputs and kind, and no others");
    absl::StatusOr<std::vector<int32_t>> labels = reader.Read<int32_t>("labels", 1);
    if (!labels.ok()) return labels.status();
    file.set.labels = *std::move(labels);
    if (file.set.count() == 0 || file.set.count() > replay::kMostCanaryInputs) return Bad("labels: too many, or none");
    absl::StatusOr<std::vector<float>> inputs = reader.Read<float>("inputs", 1 + file.set.shape.size());
    if (!inputs.ok()) return inputs.status();
    absl::StatusOr<std::vector<float>> outputs = reader.Read<float>("outputs", 2);
    if (!outputs.ok()) return outputs.status();
    const absl::StatusOr<std::vector<int32_t>> kinds = reader.Read<int32_t>("kind", 1);
    if (!kinds.ok()) return kinds.status();
    if (*reader.Shape("inputs") != ShapeOf(file.set))
      return Bad("inputs: another shape than labels and set.shape make");
    if (*reader.Shape("outputs") != std::vector<uint64_t>{file.set.count(), file.classes}) {
      return Bad("outputs: another shape than labels and behaviour.classes make");
    }
    if (kinds->size() != file.set.count()) return Bad("kind: expected one an input");
    for (const int32_t kind : *kinds) {
      if (kind < 0 || kind > static_cast<int32_t>(InputKind::kBoundary)) return Bad("kind: expected 0 to 3");
      file.kinds.push_back(static_cast<InputKind>(kind));
    }
    file.set.inputs = *std::move(inputs);
    file.outputs = *std::move(outputs);
    return absl::OkStatus();
  }

  // That the parts agree with each other.
  absl::Status Check(const Head& head, CanaryFile& file) const {
    if (absl::Status status = replay::CheckCanarySet(file.set); !status.ok()) return Bad(std::string(status.message()));
    const auto model = artifact::ParseDigest(head.model_sha256), hash = artifact::ParseDigest(head.hash),
               inputs = artifact::ParseDigest(head.inputs_sha256);
    if (!model.ok()) return Bad("model_sha256: expected 64 hexadecimal digits");
    if (!hash.ok()) return Bad("behaviour.hash: expected 64 hexadecimal digits");
    if (!inputs.ok() || *inputs != InputsDigest(file.set)) return Bad("behaviour.inputs_sha256 is not the inputs'");
    file.model_sha256 = *model;
    absl::StatusOr<EnrolledBehaviour> behaviour = EnrolBehaviour(file.outputs, file.classes, head.parameters, *inputs);
    if (!behaviour.ok()) return Bad(std::string(behaviour.status().message()));
    if (behaviour->hash != *hash) return Bad("behaviour.hash is not that of the outputs");
    file.behaviour = *std::move(behaviour);
    return absl::OkStatus();
  }

  const artifact::Source& source_;
};

bool HasItsTensors(const replay::TensorReader& reader) {
  return reader.size() == 4 && reader.Has("inputs") && reader.Has("labels") && reader.Has("outputs") &&
         reader.Has("kind");
}

}  // namespace

bool IsCanaryFile(const artifact::Source& source) {
  const absl::StatusOr<replay::TensorReader> reader = replay::TensorReader::Open(source);
  if (!reader.ok() || !HasItsTensors(*reader)) return false;
  const auto format = reader->metadata().find("format");
  return format != reader->metadata().end() && format->second == kFormat;
}

absl::StatusOr<std::string> EncodeCanaryFile(const CanaryFile& file) {
  const CanarySet& set = file.set;
  const HashParameters& parameters = file.behaviour.parameters;
  const Json head = {{"name", set.name},   {"domain", set.domain},   {"task", set.task}, {"shape", set.shape},
                     {"image", set.image}, {"classes", set.classes}, {"low", set.low},   {"high", set.high}};
  const Json behaviour = {{"hash", file.behaviour.hash.Hex()},
                          {"inputs_sha256", file.behaviour.inputs_sha256.Hex()},
                          {"step", parameters.step},
                          {"bound", parameters.bound},
                          {"order", parameters.order},
                          {"classes", file.classes},
                          {"probabilities", file.probabilities}};
  std::vector<int32_t> kinds;
  for (const InputKind kind : file.kinds) kinds.push_back(static_cast<int32_t>(kind));
  return artifact::WriteSafetensors(
      {Tensor("inputs", ShapeOf(set), set.inputs), Tensor("labels", {set.count()}, set.labels),
       Tensor("outputs", {set.count(), file.classes}, file.outputs), Tensor("kind", {kinds.size()}, kinds)},
      {{"format", kFormat},
       {"model_sha256", file.model_sha256.Hex()},
       {"set", head.dump()},
       {"behaviour", behaviour.dump()}});
}

absl::StatusOr<CanaryFile> ReadCanaryFile(const artifact::Source& source) { return Reading(source).Read(); }

}  // namespace driftseal::canary
