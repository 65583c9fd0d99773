#include "engine/artifact/model_file.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "engine/artifact/formats.h"
#include "engine/artifact/limits.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

struct DTypeEntry {
  std::string_view name;
  size_t bytes;
};

// In the order of DType.
constexpr DTypeEntry kDTypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2},  {"BF16", 2}, {"F8_E4M3", 1}, {"F8_E5M2", 1},
                                  {"I64", 8}, {"I32", 4}, {"I16", 2},  {"I8", 1},   {"U64", 8},     {"U32", 4},
                                  {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"C64", 8}};
static_assert(std::size(kDTypes) == static_cast<size_t>(DType::kC64) + 1);

// A line a field; lengths stand before texts, so that no two structures give the same bytes.
void AppendText(std::string_view text, std::string& out) { out += Cat(text.size(), ":", text, "\n"); }

std::string DescribeStructure(const TensorTable& table) {
  std::vector<const TensorInfo*> sorted;
  for (const TensorInfo& tensor : table.tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  std::string text = "driftseal architecture v1 tensors\n";
  for (const TensorInfo* tensor : sorted) {
    AppendText(tensor->name, text);
    text += DTypeName(tensor->dtype);
    for (const uint64_t dim : tensor->shape) text += Cat(" ", dim);
    text += '\n';
  }
  return text;
}

std::string DescribeStructure(const Booster& booster) {
  std::string text = "driftseal architecture v1 booster\n";
  AppendText(booster.booster, text);
  AppendText(booster.objective, text);
  text += Cat(booster.features, " ", booster.classes, "\n");
  return text;
}

}  // namespace

std::string_view FormatName(Format format) {
  switch (format) {
    case Format::kSafetensors:
      return "safetensors";
    case Format::kTorchZip:
      return "torch";
    case Format::kXgboostJson:
      return "xgboost-json";
    case Format::kXgboostUbj:
      return "xgboost-ubj";
  }
  return "unknown";
}

std::string_view DTypeName(DType type) { return kDTypes[static_cast<size_t>(type)].name; }
size_t DTypeBytes(DType type) { return kDTypes[static_cast<size_t>(type)].bytes; }

std::optional<DType> ParseDType(std::string_view name) {
  for (size_t i = 0; i < std::size(kDTypes); ++i) {
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

uint64_t TensorInfo::Elements() const {
  uint64_t elements = 1;
  for (const uint64_t dim : shape) elements *= dim;
  return elements;
}

std::optional<uint64_t> TensorBytes(std::span<const uint64_t> shape, DType type) {
  if (std::find(shape.begin(), shape.end(), 0u) != shape.end()) return 0;
  uint64_t bytes = DTypeBytes(type);
  for (const uint64_t dim : shape) {
    if (__builtin_mul_overflow(bytes, dim, &bytes) || bytes > kMaxTensorBytes) return std::nullopt;
  }
  return bytes;
}

absl::Status Malformed(const Source& source, std::string_view what) {
  return absl::InvalidArgumentError(Cat(source.name(), ": ", what));
}

absl::Status OverLimit(const Source& source, std::string_view what, uint64_t found, uint64_t limit) {
  return absl::ResourceExhaustedError(Cat(source.name(), ": ", what, ": found ", found, ", the limit is ", limit));
}

absl::StatusOr<ModelFile> ReadModelFile(const Source& source) {
  absl::StatusOr<Format> format = DetectFormat(source);
  if (!format.ok()) return format.status();
  ModelFile model{.format = *format, .content = {}};
  const auto keep = [&model](auto content) {
    if (content.ok()) model.content = *std::move(content);
    return content.status();
  };
  absl::Status read;
  switch (*format) {
    case Format::kSafetensors:
      read = keep(ReadSafetensors(source));
      break;
    case Format::kTorchZip:
      read = keep(ReadTorchZip(source));
      break;
    case Format::kXgboostJson:
      read = keep(ReadXgboostJson(source));
      break;
    case Format::kXgboostUbj:
      read = keep(ReadXgboostUbj(source));
      break;
  }
  if (!read.ok()) return read;
  if (absl::Status status = source.CheckUnchanged(); !status.ok()) return status;
  return model;
}

Digest ArchitectureDigest(const ModelFile& model) {
  const std::string text = std::visit([](const auto& content) { return DescribeStructure(content); }, model.content);
  return Sha256(std::as_bytes(std::span(text)));
}

}  // namespace driftseal::artifact
