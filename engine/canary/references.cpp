#include "engine/canary/references.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <utility>

#include "engine/artifact/digest.h"
#include "engine/artifact/text.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;
using replay::CanarySet;

size_t Product(const std::vector<uint32_t>& shape) {
  size_t product = 1;
  for (const uint32_t size : shape) {
    if (size == 0 || size > replay::kMostInputElements / product) return 0;
    product *= size;
  }
  return product;
}

std::string ShapeText(const std::vector<uint32_t>& shape) {
  std::string text;
  for (const uint32_t size : shape) text += Cat(text.empty() ? "" : "x", size);
  return text;
}

struct Row {
  std::array<uint8_t, 32> digest;
  size_t index;
};

// Rows of each label, in the order of their content's hash, none twice: a twin with a smaller label stays.
struct Sorted {
  std::map<int32_t, std::vector<size_t>> by_label;
  size_t passed_over = 0, twice = 0;
};

bool IsFinite(const LabelledData& data, size_t row, size_t elements) {
  if (data.floats.empty()) return true;
  const float* values = data.floats.data() + row * elements;
  return std::all_of(values, values + elements, [](float value) { return std::isfinite(value); });
}

Sorted Sort(const LabelledData& data, size_t elements) {
  const bool bytes = data.floats.empty();
  Sorted sorted;
  std::vector<Row> rows;
  rows.reserve(data.count());
  for (size_t i = 0; i < data.count(); ++i) {
    if (!IsFinite(data, i, elements)) {
      ++sorted.passed_over;
      continue;
    }
    const auto content = bytes ? std::as_bytes(std::span(data.bytes).subspan(i * elements, elements))
                               : std::as_bytes(std::span(data.floats).subspan(i * elements, elements));
    rows.push_back({artifact::Sha256(content).bytes, i});
  }
  std::sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    return a.digest != b.digest ? a.digest < b.digest : data.labels[a.index] < data.labels[b.index];
  });
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i > 0 && rows[i].digest == rows[i - 1].digest) {
      ++sorted.twice;
    } else {
      sorted.by_label[data.labels[rows[i].index]].push_back(rows[i].index);
    }
  }
  return sorted;
}

// One of each label in turn, until there are enough.
std::vector<size_t> TakeTurns(const std::map<int32_t, std::vector<size_t>>& by_label, size_t count) {
  std::vector<size_t> chosen;
  for (size_t round = 0; chosen.size() < count; ++round) {
    const size_t before = chosen.size();
    for (const auto& [label, rows] : by_label) {
      if (round < rows.size() && chosen.size() < count) chosen.push_back(rows[round]);
    }
    if (chosen.size() == before) break;
  }
  return chosen;
}

absl::Status SetShapes(const LabelledData& data, const ReferenceOptions& options, CanarySet& set) {
  const bool pixels = !options.table && data.shape.size() >= 2;
  set.shape = options.shape;
  if (set.shape.empty()) {
    set.shape = data.shape;
    if (pixels && data.shape.size() == 2) set.shape.insert(set.shape.begin(), 1);  // Grey: a channel of its own.
  }
  if (Product(set.shape) != data.elements()) {
    return absl::InvalidArgumentError(Cat("shape: expected ", data.elements(), " elements as an input of the data (",
                                          ShapeText(data.shape), ") has, found ", ShapeText(set.shape)));
  }
  set.image = options.image;
  const auto as_image = [](const std::vector<uint32_t>& shape) {
    if (shape.size() == 2) return std::vector<uint32_t>{1, shape[0], shape[1]};
    return shape.size() == 3 ? shape : std::vector<uint32_t>{};
  };
  if (set.image.empty() && !options.table) set.image = as_image(set.shape);
  if (set.image.empty() && !options.table) set.image = as_image(data.shape);
  return absl::OkStatus();
}

// The range of an image's values, and what bytes are scaled to.
absl::Status SetRange(const LabelledData& data, const ReferenceOptions& options, CanarySet& set) {
  set.low = options.low.value_or(0);
  set.high = options.high.value_or(1);
  if (!data.floats.empty()) {
    float least = set.low, most = set.high;
    if (set.image.empty()) least = most = set.inputs.front();
    for (const float value : set.image.empty() ? set.inputs : data.floats) {
      if (!std::isfinite(value)) continue;
      least = std::min(least, value);
      most = std::max(most, value);
    }
    if (!options.low) set.low = least;
    if (!options.high) set.high = most == set.low ? set.low + 1 : most;
  }
  if (set.low < set.high) return absl::OkStatus();
  return absl::InvalidArgumentError(Cat("low and high: expected low below high, found ", set.low, " and ", set.high));
}

absl::Status CheckData(const LabelledData& data, const ReferenceOptions& options) {
  if (options.count == 0 || options.count > replay::kMostCanaryInputs) {
    return absl::InvalidArgumentError(
        Cat("count: expected 1 to ", replay::kMostCanaryInputs, ", found ", options.count));
  }
  const size_t elements = data.elements();
  const size_t values = data.bytes.size() + data.floats.size();
  if (elements == 0 || values != data.count() * elements || (!data.bytes.empty() && !data.floats.empty())) {
    return absl::InvalidArgumentError(
        Cat("data: ", values, " values are no ", data.count(), " inputs of shape ", ShapeText(data.shape)));
  }
  return absl::OkStatus();
}

}  // namespace

size_t LabelledData::elements() const { return Product(shape); }

absl::StatusOr<References> ChooseReferences(const LabelledData& data, const ReferenceOptions& options) {
  if (const absl::Status status = CheckData(data, options); !status.ok()) return status;
  const size_t elements = data.elements();
  const Sorted sorted = Sort(data, elements);
  const std::vector<size_t> chosen = TakeTurns(sorted.by_label, options.count);
  if (chosen.empty()) {
    return absl::FailedPreconditionError(
        Cat("the data has no input whose values are all finite (", data.count(), " inputs)"));
  }
  References references;
  references.passed_over = sorted.passed_over;
  references.twice = sorted.twice;
  CanarySet& set = references.set;
  set.name = options.name;
  set.domain = options.domain;
  set.task = options.task;
  if (const absl::Status status = SetShapes(data, options, set); !status.ok()) return status;
  set.inputs.reserve(chosen.size() * elements);
  for (const size_t row : chosen) {
    set.labels.push_back(data.labels[row]);
    if (!data.floats.empty()) {
      const float* values = data.floats.data() + row * elements;
      set.inputs.insert(set.inputs.end(), values, values + elements);
    }
  }
  if (const absl::Status status = SetRange(data, options, set); !status.ok()) return status;
  if (data.floats.empty()) {
    for (const size_t row : chosen) {
      for (size_t i = 0; i < elements; ++i) {
        const float share = static_cast<float>(data.bytes[row * elements + i]) / 255.0f;
        set.inputs.push_back(std::clamp(set.low + share * (set.high - set.low), set.low, set.high));
      }
    }
  }
  set.classes = options.classes;
  const int32_t largest = *std::max_element(data.labels.begin(), data.labels.end());
  if (set.classes == 0 && largest > 0) set.classes = static_cast<uint32_t>(largest) + 1;
  if (const absl::Status status = replay::CheckCanarySet(set); !status.ok()) return status;
  return references;
}

}  // namespace driftseal::canary
