#include <charconv>
#include <filesystem>
#include <optional>
#include <utility>

#include "engine/app/canary.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/text.h"
#include "engine/fingerprint/predictions.h"

namespace driftseal::app {
namespace {

using artifact::Cat;
using artifact::Source;
using canary::LabelledData;
using canary::References;

bool IsSafetensors(const Source& source) {
  const absl::StatusOr<artifact::Format> format = artifact::DetectFormat(source);
  return format.ok() && *format == artifact::Format::kSafetensors;
}

// A canary set is taken as it is; nothing when the file is none.
absl::StatusOr<std::optional<References>> AsCanarySet(const Source& source) {
  const absl::StatusOr<artifact::ModelFile> file = artifact::ReadModelFile(source);
  if (!file.ok()) return file.status();
  const auto& metadata = std::get<artifact::TensorTable>(file->content).metadata;
  const auto format = metadata.find("format");
  if (format == metadata.end() || !format->second.starts_with("driftseal-canary/")) return std::nullopt;
  std::vector<std::byte> scratch;
  const auto bytes = source.ReadAll(canary::kMostDataBytes, scratch);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<replay::CanarySet> set =
      replay::DecodeCanarySet({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, source.name());
  if (!set.ok()) return set.status();
  return References{*std::move(set), 0, 0};
}

absl::StatusOr<LabelledData> FromCsv(const Source& source, const std::string& label) {
  const absl::StatusOr<fingerprint::CsvTable> table = fingerprint::ReadCsv(source);
  if (!table.ok()) return table.status();
  std::vector<canary::TableColumn> columns;
  for (const auto& column : table->columns) columns.push_back({column.name, column.numbers, column.texts});
  return canary::DataFromTable(columns, table->rows, label, source.name());
}

absl::StatusOr<LabelledData> ReadData(const DataFlags& flags, const Source& source) {
  if (canary::LooksLikeIdx(source)) {
    if (flags.labels.empty()) return canary::DataFromIdx(source, nullptr);
    const absl::StatusOr<Source> labels = Source::Open(flags.labels);
    if (!labels.ok()) return labels.status();
    return canary::DataFromIdx(source, &*labels);
  }
  if (!flags.labels.empty()) {
    return absl::InvalidArgumentError(
        Cat("--labels: only IDX keeps labels in a file of their own; ", source.name(), " is no IDX"));
  }
  return IsSafetensors(source) ? canary::DataFromSafetensors(source) : FromCsv(source, flags.label_column);
}

// Letters, digits, '-', '_' and '.' of a file's name, which a canary set's name is made of.
std::string NameOf(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  name = name.substr(0, name.find('.')).substr(0, 64);
  for (char& c : name) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-';
    if (!plain) c = '_';
  }
  return name.empty() ? "data" : name;
}

}  // namespace

absl::StatusOr<std::vector<uint32_t>> SizesOf(const std::string& text, const std::string& flag) {
  std::vector<uint32_t> sizes;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    uint32_t size = 0;
    const auto [rest, error] = std::from_chars(at, end, size);
    const bool more = rest != end && (*rest == ',' || *rest == 'x') && rest + 1 != end;
    if (error != std::errc() || size == 0 || (rest != end && !more)) {
      return absl::InvalidArgumentError(
          Cat(flag, ": expected sizes from 1 with commas between, as 1,28,28, found ", artifact::Quoted(text)));
    }
    sizes.push_back(size);
    at = more ? rest + 1 : end;
  }
  return sizes;
}

absl::StatusOr<References> ReadReferences(const DataFlags& flags) {
  canary::ReferenceOptions options;
  const absl::StatusOr<std::vector<uint32_t>> shape = SizesOf(flags.shape, "shape"),
                                              image = SizesOf(flags.image, "--image");
  if (!shape.ok()) return shape.status();
  if (!image.ok()) return image.status();
  const absl::StatusOr<Source> source = Source::Open(flags.data);
  if (!source.ok()) return source.status();
  if (flags.labels.empty() && IsSafetensors(*source)) {
    absl::StatusOr<std::optional<References>> set = AsCanarySet(*source);
    if (!set.ok()) return set.status();
    if (set->has_value()) return **std::move(set);
  }
  const absl::StatusOr<LabelledData> data = ReadData(flags, *source);
  if (!data.ok()) return data.status();
  options.name = flags.name.empty() ? NameOf(flags.data) : flags.name;
  options.domain = flags.domain;
  options.task = flags.task;
  options.count = flags.count;
  options.shape = *shape;
  options.image = *image;
  options.table = flags.table || data->shape.size() == 1;
  if (!options.image.empty()) options.table = false;
  options.low = flags.low;
  options.high = flags.high;
  absl::StatusOr<References> references = canary::ChooseReferences(*data, options);
  if (references.ok()) return references;
  return absl::Status(references.status().code(), Cat(flags.data, ": ", references.status().message()));
}

}  // namespace driftseal::app
