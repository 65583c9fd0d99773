#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/artifact/model_file.h"
#include "engine/replay/protocol/behaviour.h"
#include "engine/replay/protocol/tensors.h"
#include "nlohmann/json.hpp"

namespace driftseal::replay {
namespace {

absl::Status Bad(const CanarySet& set, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("canary set ", set.name, ": ", std::string(what)));
}

/// The product, or 0 where a dimension is 0 or the product is larger than an input may be.
size_t Product(const std::vector<uint32_t>& shape) {
  size_t product = 1;
  for (uint32_t size : shape) {
    if (size == 0 || size > kMostInputElements / product) return 0;
    product *= size;
  }
  return product;
}

}  // namespace

size_t CanarySet::elements() const { return Product(shape); }

absl::Status CheckCanarySet(const CanarySet& set) {
  const size_t elements = set.shape.empty() ? 0 : set.elements();
  if (elements == 0) return Bad(set, absl::StrCat("shape: expected 1..", kMostInputElements, " elements"));
  if (!set.image.empty() && (set.image.size() != 3 || Product(set.image) != elements)) {
    return Bad(set, "image: expected channels, height, width with as many elements as shape");
  }
  if (set.classes > kMostClasses) return Bad(set, absl::StrCat("classes: expected at most ", kMostClasses));
  if (set.count() == 0 || set.count() > kMostCanaryInputs) {
    return Bad(set, absl::StrCat("labels: expected 1..", kMostCanaryInputs, ", found ", set.count()));
  }
  if (set.inputs.size() != set.count() * elements) {
    return Bad(set,
               absl::StrCat("inputs: expected ", set.count(), " x ", elements, " values, found ", set.inputs.size()));
  }
  if (!std::isfinite(set.low) || !std::isfinite(set.high) || !(set.low < set.high)) {
    return Bad(set, "low, high: expected finite numbers, low below high");
  }
  const auto valid = [&](float value) {
    return std::isfinite(value) && (set.image.empty() || (value >= set.low && value <= set.high));
  };
  if (!std::ranges::all_of(set.inputs, valid)) return Bad(set, "inputs: a value is not finite or not in low..high");
  const auto known = [&](int32_t label) {
    return label >= -1 && (set.classes == 0 || label < static_cast<int32_t>(set.classes));
  };
  if (!std::ranges::all_of(set.labels, known)) return Bad(set, "labels: a label is below -1 or not below classes");
  return absl::OkStatus();
}

absl::StatusOr<std::string> EncodeCanarySet(const CanarySet& set) {
  if (absl::Status status = CheckCanarySet(set); !status.ok()) return status;
  std::vector<uint64_t> shape{set.count()};
  shape.insert(shape.end(), set.shape.begin(), set.shape.end());
  const nlohmann::json rest = {{"name", set.name},   {"domain", set.domain},   {"task", set.task}, {"shape", set.shape},
                               {"image", set.image}, {"classes", set.classes}, {"low", set.low},   {"high", set.high}};
  return artifact::WriteSafetensors({Tensor("inputs", shape, std::span<const float>(set.inputs)),
                                     Tensor("labels", {set.count()}, std::span<const int32_t>(set.labels))},
                                    {{"format", "driftseal-canary/1"}, {"set", rest.dump()}});
}

}  // namespace driftseal::replay
