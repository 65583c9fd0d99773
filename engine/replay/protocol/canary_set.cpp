// Canary sets: what a valid one is, and their file.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/artifact/source.h"
#include "engine/artifact/text.h"
#include "engine/replay/protocol/behaviour.h"
#include "engine/replay/protocol/tensors.h"

namespace driftseal::replay {
namespace {

using Json = nlohmann::json;

constexpr char kFormat[] = "driftseal-canary/1";
// All inputs of a set together: 256 MiB.
constexpr size_t kMostSetElements = size_t{1} << 26;
constexpr size_t kMostDimensions = 8, kLongestText = 200;
constexpr uint32_t kMostChannels = 64;

/// product(shape), or 0 when it has a 0 or exceeds the limit.
size_t Product(const std::vector<uint32_t>& shape) {
  size_t product = 1;
  for (uint32_t size : shape) {
    if (size == 0 || size > kMostInputElements / product) return 0;
    product *= size;
  }
  return product;
}

absl::Status Bad(const CanarySet& set, std::string_view what) {
  return absl::InvalidArgumentError(artifact::Cat("canary set ", artifact::Quoted(set.name), ": ", what));
}

bool Printable(std::string_view text) {
  return text.size() <= kLongestText &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

absl::Status CheckHead(const CanarySet& set) {
  for (const auto& [field, text] : {std::pair{"name", &set.name}, {"domain", &set.domain}, {"task", &set.task}}) {
    if (!Printable(*text)) {
      return Bad(set, artifact::Cat(field, " is not printable ASCII of at most ", kLongestText, " characters"));
    }
  }
  if (set.shape.empty() || set.shape.size() > kMostDimensions || Product(set.shape) == 0) {
    return Bad(set, artifact::Cat("shape must have 1 to ", kMostDimensions, " dimensions, none of them 0, and at most ",
                                  kMostInputElements, " elements"));
  }
  if (!set.image.empty()) {
    if (set.image.size() != 3) return Bad(set, "image must be empty or channels, height, width");
    if (Product(set.image) != Product(set.shape)) return Bad(set, "image has another number of elements than shape");
    if (set.image[0] > kMostChannels)
      return Bad(set, artifact::Cat("image has more than ", kMostChannels, " channels"));
  }
  if (set.classes == 1 || set.classes > kMostClasses) {
    return Bad(set, artifact::Cat("classes must be 0 (not known) or within 2..", kMostClasses));
  }
  if (!std::isfinite(set.low) || !std::isfinite(set.high) || !(set.low < set.high)) {
    return Bad(set, "low and high must be finite, low below high");
  }
  return absl::OkStatus();
}

CanarySet HeadFromJson(const Json& json) {  // throws Json::exception
  CanarySet set;
  json.at("name").get_to(set.name);
  json.at("domain").get_to(set.domain);
  json.at("task").get_to(set.task);
  json.at("shape").get_to(set.shape);
  json.at("image").get_to(set.image);
  json.at("classes").get_to(set.classes);
  json.at("low").get_to(set.low);
  json.at("high").get_to(set.high);
  return set;
}

}  // namespace

size_t CanarySet::elements() const { return Product(shape); }

absl::Status CheckCanarySet(const CanarySet& set) {
  if (absl::Status status = CheckHead(set); !status.ok()) return status;
  const size_t count = set.count(), elements = set.elements();
  if (count == 0 || count > kMostCanaryInputs) {
    return Bad(set, artifact::Cat("labels: expected 1 to ", kMostCanaryInputs, " inputs, found ", count));
  }
  if (elements > kMostSetElements / count) {
    return Bad(set, artifact::Cat("inputs: ", count, " × ", elements, " elements, the limit is ", kMostSetElements));
  }
  if (set.inputs.size() != count * elements) {
    return Bad(set, artifact::Cat("inputs has ", set.inputs.size(), " elements, expected ", count, " × ", elements));
  }
  const bool image = !set.image.empty();
  for (size_t i = 0; i < set.inputs.size(); ++i) {
    if (!std::isfinite(set.inputs[i])) return Bad(set, artifact::Cat("inputs: element ", i, " is not finite"));
    if (image && (set.inputs[i] < set.low || set.inputs[i] > set.high)) {
      return Bad(set, artifact::Cat("inputs: element ", i, " lies outside of low and high"));
    }
  }
  const auto most = static_cast<int32_t>(set.classes > 0 ? set.classes : kMostClasses);
  for (size_t i = 0; i < count; ++i) {
    if (set.labels[i] < -1 || set.labels[i] >= most) {
      return Bad(set,
                 artifact::Cat("labels: element ", i, " is ", set.labels[i], ", expected -1 or a class below ", most));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> EncodeCanarySet(const CanarySet& set) {
  if (absl::Status status = CheckCanarySet(set); !status.ok()) return status;
  const Json head = {{"name", set.name},   {"domain", set.domain},   {"task", set.task}, {"shape", set.shape},
                     {"image", set.image}, {"classes", set.classes}, {"low", set.low},   {"high", set.high}};
  std::vector<uint64_t> shape = {set.count()};
  shape.insert(shape.end(), set.shape.begin(), set.shape.end());
  return artifact::WriteSafetensors(
      {Tensor("inputs", std::move(shape), set.inputs), Tensor("labels", {set.count()}, set.labels)},
      {{"format", kFormat}, {"set", head.dump()}});
}

absl::StatusOr<CanarySet> DecodeCanarySet(std::string_view file, std::string_view name) {
  std::vector<std::byte> bytes(file.size());
  if (!file.empty()) std::memcpy(bytes.data(), file.data(), file.size());
  const artifact::Source source = artifact::Source::FromBytes(std::string(name), std::move(bytes));
  absl::StatusOr<TensorReader> reader = TensorReader::Open(source);
  if (!reader.ok()) return reader.status();
  const auto& metadata = reader->metadata();
  const auto format = metadata.find("format"), text = metadata.find("set");
  if (format == metadata.end() || format->second != kFormat || text == metadata.end()) {
    return absl::InvalidArgumentError(
        artifact::Cat(name, ": the metadata has no \"format\": \"", kFormat, "\" with a \"set\""));
  }
  CanarySet set;
  try {
    set = HeadFromJson(Json::parse(text->second));
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(artifact::Cat(name, ": set: ", error.what()));
  }
  if (absl::Status status = CheckHead(set); !status.ok()) {
    return absl::InvalidArgumentError(artifact::Cat(name, ": ", std::string(status.message())));
  }
  absl::StatusOr<std::vector<int32_t>> labels = reader->Read<int32_t>("labels", 1);
  if (!labels.ok()) return labels.status();
  absl::StatusOr<std::vector<float>> inputs = reader->Read<float>("inputs", 1 + set.shape.size());
  if (!inputs.ok()) return inputs.status();
  std::vector<uint64_t> shape = {labels->size()};
  shape.insert(shape.end(), set.shape.begin(), set.shape.end());
  if (*reader->Shape("inputs") != shape) {
    return absl::InvalidArgumentError(artifact::Cat(name, ": inputs has another shape than labels and set.shape make"));
  }
  set.labels = *std::move(labels);
  set.inputs = *std::move(inputs);
  if (absl::Status status = CheckCanarySet(set); !status.ok()) {
    return absl::InvalidArgumentError(artifact::Cat(name, ": ", std::string(status.message())));
  }
  return set;
}

}  // namespace driftseal::replay
