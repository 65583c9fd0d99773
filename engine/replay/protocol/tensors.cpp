#include "engine/replay/protocol/tensors.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace driftseal::replay {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian and are copied as they are");

template <class T>
constexpr artifact::DType TypeOf() {
  if constexpr (std::is_same_v<T, double>) return artifact::DType::kF64;
  if constexpr (std::is_same_v<T, float>) return artifact::DType::kF32;
  if constexpr (std::is_same_v<T, int32_t>) return artifact::DType::kI32;
}

template <class T>
artifact::NamedTensor Make(std::string name, std::vector<uint64_t> shape, std::span<const T> values) {
  artifact::NamedTensor tensor{std::move(name), std::move(shape), TypeOf<T>(), {}};
  const auto bytes = std::as_bytes(values);
  tensor.data.assign(bytes.begin(), bytes.end());
  return tensor;
}

}  // namespace

artifact::NamedTensor Tensor(std::string name, std::vector<uint64_t> shape, std::span<const double> values) {
  return Make(std::move(name), std::move(shape), values);
}
artifact::NamedTensor Tensor(std::string name, std::vector<uint64_t> shape, std::span<const float> values) {
  return Make(std::move(name), std::move(shape), values);
}
artifact::NamedTensor Tensor(std::string name, std::vector<uint64_t> shape, std::span<const int32_t> values) {
  return Make(std::move(name), std::move(shape), values);
}

TensorReader::TensorReader(const artifact::Source& source, artifact::TensorTable table)
    : source_(&source), table_(std::move(table)) {
  for (size_t i = 0; i < table_.tensors.size(); ++i) index_.emplace(table_.tensors[i].name, i);
}

absl::StatusOr<TensorReader> TensorReader::Open(const artifact::Source& source) {
  absl::StatusOr<artifact::Format> format = artifact::DetectFormat(source);
  if (!format.ok()) return format.status();
  if (*format != artifact::Format::kSafetensors) {
    return absl::InvalidArgumentError(
        absl::StrCat(source.name(), ": expected safetensors, found ", std::string(artifact::FormatName(*format))));
  }
  absl::StatusOr<artifact::ModelFile> file = artifact::ReadModelFile(source);
  if (!file.ok()) return file.status();
  return TensorReader(source, std::get<artifact::TensorTable>(std::move(file->content)));
}

absl::StatusOr<const artifact::TensorInfo*> TensorReader::Find(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) {
    return absl::InvalidArgumentError(absl::StrCat(source_->name(), ": there is no tensor ", name));
  }
  return &table_.tensors[found->second];
}

absl::StatusOr<std::vector<uint64_t>> TensorReader::Shape(const std::string& name) const {
  absl::StatusOr<const artifact::TensorInfo*> info = Find(name);
  if (!info.ok()) return info.status();
  return (*info)->shape;
}

template <class T>
absl::StatusOr<std::vector<T>> TensorReader::Read(const std::string& name, size_t dimensions) const {
  absl::StatusOr<const artifact::TensorInfo*> found = Find(name);
  if (!found.ok()) return found.status();
  const artifact::TensorInfo& info = **found;
  const std::string where = absl::StrCat(source_->name(), ": tensor ", name);
  if (info.dtype != TypeOf<T>()) {
    return absl::InvalidArgumentError(absl::StrCat(where, " is ", std::string(artifact::DTypeName(info.dtype)),
                                                   ", expected ", std::string(artifact::DTypeName(TypeOf<T>()))));
  }
  if (info.shape.size() != dimensions) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, " has ", info.shape.size(), " dimensions, expected ", dimensions));
  }
  // The reader of safetensors has checked that the shape fits the bytes that are there, and that they are in the file.
  const uint64_t length = info.Elements() * sizeof(T);
  std::vector<std::byte> scratch;
  absl::StatusOr<std::span<const std::byte>> bytes = source_->Read(info.offset, length, scratch);
  if (!bytes.ok()) return bytes.status();
  std::vector<T> values(bytes->size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes->data(), bytes->size());
  if constexpr (std::is_floating_point_v<T>) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) {
        return absl::InvalidArgumentError(absl::StrCat(where, ": element ", i, " is not finite"));
      }
    }
  }
  return values;
}

template absl::StatusOr<std::vector<double>> TensorReader::Read(const std::string&, size_t) const;
template absl::StatusOr<std::vector<float>> TensorReader::Read(const std::string&, size_t) const;
template absl::StatusOr<std::vector<int32_t>> TensorReader::Read(const std::string&, size_t) const;

}  // namespace driftseal::replay
