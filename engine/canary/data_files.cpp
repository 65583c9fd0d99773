#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include "engine/artifact/model_file.h"
#include "engine/artifact/text.h"
#include "engine/canary/references.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;
using artifact::DType;
using artifact::Source;
using artifact::TensorInfo;

const TensorInfo* FindTensor(const artifact::TensorTable& table, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    for (const TensorInfo& tensor : table.tensors) {
      if (tensor.name == name) return &tensor;
    }
  }
  return nullptr;
}

// A label is -1 (not known) or a class.
absl::StatusOr<int32_t> ToLabel(double value, std::string_view where, size_t row) {
  if (std::isfinite(value) && value == std::floor(value) && value >= -1 && value < replay::kMostClasses) {
    return static_cast<int32_t>(value);
  }
  return absl::InvalidArgumentError(Cat(where, ": row ", row + 1, " is ", value, ", expected a whole number from 0 to ",
                                        replay::kMostClasses - 1, ", or -1 where the class is not known"));
}

absl::Status ReadLabels(const Source& source, const TensorInfo& tensor, LabelledData& data) {
  const std::string where = Cat(source.name(), ": tensor ", artifact::Quoted(tensor.name));
  const bool flat = tensor.shape.size() == 1 || (tensor.shape.size() == 2 && tensor.shape[1] == 1);
  if (!flat || tensor.shape[0] != data.count()) {
    return absl::InvalidArgumentError(Cat(where, ": expected ", data.count(), " labels in one dimension"));
  }
  std::vector<float> values;
  if (absl::Status status = artifact::ReadTensor(source, tensor, kMostDataRows, values); !status.ok()) return status;
  for (size_t i = 0; i < values.size(); ++i) {
    const absl::StatusOr<int32_t> label = ToLabel(values[i], where, i);
    if (!label.ok()) return label.status();
    data.labels[i] = *label;
  }
  return absl::OkStatus();
}

bool IsFloat(DType type) {
  return type == DType::kF32 || type == DType::kF64 || type == DType::kF16 || type == DType::kBF16;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

constexpr size_t kNone = static_cast<size_t>(-1);

absl::StatusOr<size_t> LabelColumn(std::span<const TableColumn> columns, std::string_view label,
                                   std::string_view file_name) {
  for (const std::string_view usual : {"label", "class", "target", "y"}) {
    size_t found = kNone;
    for (size_t c = 0; c < columns.size(); ++c) {
      const bool fits = label.empty() ? Lower(columns[c].name) == usual : columns[c].name == label;
      if (!fits) continue;
      if (found != kNone) {
        return absl::InvalidArgumentError(
            Cat(file_name, ": expected one column ", artifact::Quoted(columns[c].name), ", found more"));
      }
      found = c;
    }
    if (found != kNone) return found;
  }
  if (label.empty()) return kNone;
  return absl::InvalidArgumentError(Cat(file_name, ": there is no column ", artifact::Quoted(label)));
}

absl::Status LabelsOfColumn(const TableColumn& column, std::string_view file_name, LabelledData& data) {
  const std::string where = Cat(file_name, ": column ", artifact::Quoted(column.name));
  if (column.texts.empty()) {
    for (size_t r = 0; r < data.count(); ++r) {
      if (std::isnan(column.numbers[r])) continue;  // Not known.
      const absl::StatusOr<int32_t> label = ToLabel(column.numbers[r], where, r);
      if (!label.ok()) return label.status();
      data.labels[r] = *label;
    }
    return absl::OkStatus();
  }
  const std::set<std::string_view> names(column.texts.begin(), column.texts.end());
  const bool unknown = names.contains("");
  if (names.size() - (unknown ? 1 : 0) > replay::kMostClasses) {
    return absl::InvalidArgumentError(
        Cat(where, ": expected at most ", replay::kMostClasses, " classes, found ", names.size()));
  }
  for (size_t r = 0; r < data.count(); ++r) {
    const auto rank = std::distance(names.begin(), names.find(column.texts[r]));
    data.labels[r] = static_cast<int32_t>(rank) - (unknown ? 1 : 0);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LabelledData> DataFromSafetensors(const Source& source) {
  const absl::StatusOr<artifact::Format> format = artifact::DetectFormat(source);
  if (!format.ok()) return format.status();
  if (*format != artifact::Format::kSafetensors) {
    return absl::InvalidArgumentError(
        Cat(source.name(), ": expected safetensors, found ", artifact::FormatName(*format)));
  }
  const absl::StatusOr<artifact::ModelFile> file = artifact::ReadModelFile(source);
  if (!file.ok()) return file.status();
  const auto& table = std::get<artifact::TensorTable>(file->content);
  const TensorInfo* inputs = FindTensor(table, {"inputs", "x", "images"});
  const TensorInfo* labels = FindTensor(table, {"labels", "y"});
  if (inputs == nullptr) {
    return absl::InvalidArgumentError(
        Cat(source.name(), ": there is no tensor \"inputs\", \"x\" or \"images\" (and \"labels\" or \"y\")"));
  }
  const std::string where = Cat(source.name(), ": tensor ", artifact::Quoted(inputs->name));
  if (inputs->dtype != DType::kU8 && !IsFloat(inputs->dtype)) {
    return absl::InvalidArgumentError(
        Cat(where, " is ", artifact::DTypeName(inputs->dtype), ", expected U8, F32, F64, F16 or BF16"));
  }
  LabelledData data;
  if (inputs->shape.size() < 2 || inputs->shape.size() > 9 || inputs->Elements() == 0) {
    return absl::InvalidArgumentError(Cat(where, ": expected 2 to 9 dimensions, none of them 0"));
  }
  for (size_t d = 1; d < inputs->shape.size(); ++d) {
    data.shape.push_back(static_cast<uint32_t>(std::min<uint64_t>(inputs->shape[d], replay::kMostInputElements + 1)));
  }
  const uint64_t bytes = inputs->Elements() * (inputs->dtype == DType::kU8 ? 1 : sizeof(float));
  if (data.elements() == 0 || bytes > kMostDataBytes || inputs->shape[0] > kMostDataRows) {
    return absl::ResourceExhaustedError(Cat(where, ": expected at most ", kMostDataRows, " inputs of ",
                                            replay::kMostInputElements, " elements and ", kMostDataBytes, " bytes"));
  }
  if (inputs->dtype == DType::kU8) {
    std::vector<std::byte> scratch;
    const auto read = source.Read(inputs->offset, inputs->Elements(), scratch);
    if (!read.ok()) return read.status();
    data.bytes.resize(read->size());
    std::memcpy(data.bytes.data(), read->data(), read->size());
  } else if (absl::Status status = artifact::ReadTensor(source, *inputs, kMostDataBytes / 4, data.floats);
             !status.ok()) {
    return status;
  }
  data.labels.assign(inputs->shape[0], -1);
  if (labels != nullptr) {
    if (absl::Status status = ReadLabels(source, *labels, data); !status.ok()) return status;
  }
  if (absl::Status status = source.CheckUnchanged(); !status.ok()) return status;
  return data;
}

absl::StatusOr<LabelledData> DataFromTable(std::span<const TableColumn> columns, size_t rows, std::string_view label,
                                           std::string_view file_name) {
  const absl::StatusOr<size_t> labels = LabelColumn(columns, label, file_name);
  if (!labels.ok()) return labels.status();
  const size_t width = columns.size() - (*labels == kNone ? 0 : 1);
  if (width == 0 || rows == 0) {
    return absl::InvalidArgumentError(Cat(file_name, ": expected rows, and columns besides the label's"));
  }
  if (rows > kMostDataRows || rows * width > kMostDataBytes / sizeof(float)) {
    return absl::ResourceExhaustedError(Cat(file_name, ": ", rows, " rows of ", width, " columns, the limit is ",
                                            kMostDataRows, " rows and ", kMostDataBytes, " bytes"));
  }
  LabelledData data;
  data.shape = {static_cast<uint32_t>(width)};
  data.labels.assign(rows, -1);
  data.floats.resize(rows * width);
  size_t at = 0;
  for (size_t c = 0; c < columns.size(); ++c) {
    if (c == *labels) continue;
    if (!columns[c].texts.empty()) {
      return absl::InvalidArgumentError(Cat(file_name, ": column ", artifact::Quoted(columns[c].name),
                                            ": expected numbers, found ", artifact::Quoted(columns[c].texts.front()),
                                            " (--label-column names the one that holds the classes)"));
    }
    for (size_t r = 0; r < rows; ++r) data.floats[r * width + at] = static_cast<float>(columns[c].numbers[r]);
    ++at;
  }
  if (*labels != kNone) {
    if (absl::Status status = LabelsOfColumn(columns[*labels], file_name, data); !status.ok()) return status;
  }
  return data;
}

}  // namespace driftseal::canary
