#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "engine/artifact/formats.h"
#include "engine/artifact/limits.h"
#include "engine/artifact/text.h"

// The rules of the format: https://github.com/huggingface/safetensors (README, "Format") and its reader
// (safetensors/src/tensor.rs). Where that reader ignores something, this one refuses it: unknown fields of a tensor.
namespace driftseal::artifact {
namespace {

namespace json = simdjson::ondemand;
using Keys = absl::flat_hash_set<std::string_view>;

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr uint64_t kPrefix = 8;

struct Entry {
  TensorInfo info;
  uint64_t begin = 0, end = 0;  // Relative to the end of the header.
};

class HeaderReader {
 public:
  explicit HeaderReader(const Source& source) : source_(source) {}

  absl::Status Read(const simdjson::padded_string& text) {
    json::parser parser;
    json::document document;
    json::object header;
    if (auto error = parser.iterate(text).get(document)) return Bad("", simdjson::error_message(error));
    if (auto error = document.get_object().get(header)) return Bad("", simdjson::error_message(error));
    for (auto field : header) {
      std::string_view key;
      if (auto error = field.unescaped_key().get(key)) return Bad("", simdjson::error_message(error));
      if (!names_.insert(key).second) return Bad(key, "the key appears twice");
      json::value value;
      if (auto error = field.value().get(value)) return Bad(key, simdjson::error_message(error));
      absl::Status status = key == "__metadata__" ? ReadMetadata(value) : ReadEntry(key, value);
      if (!status.ok()) return status;
    }
    if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
      return Bad("", "expected nothing behind the closing brace but spaces");
    return absl::OkStatus();
  }

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

 private:
  absl::Status Bad(std::string_view key, std::string_view what) const {
    return Malformed(source_, key.empty() ? Cat("safetensors header: ", what)
                                          : Cat("safetensors header, ", Quoted(key), ": ", what));
  }

  absl::Status ReadMetadata(json::value value) {
    json::object object;
    if (value.get_object().get(object)) return Bad("__metadata__", "expected an object of strings");
    for (auto field : object) {
      std::string_view key, text;
      if (field.unescaped_key().get(key) || field.value().get_string().get(text)) {
        return Bad("__metadata__", "expected an object of strings");
      }
      if (metadata.size() == kMaxMetadata)
        return OverLimit(source_, "metadata entries", kMaxMetadata + 1, kMaxMetadata);
      if (!metadata.emplace(key, text).second) {
        return Bad("__metadata__", Cat("the key ", Quoted(key), " appears twice"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadEntry(std::string_view name, json::value value) {
    if (name.size() > kMaxNameBytes) return OverLimit(source_, "bytes in a tensor name", name.size(), kMaxNameBytes);
    if (entries.size() == kMaxTensors) return OverLimit(source_, "tensors", kMaxTensors + 1, kMaxTensors);
    json::object object;
    if (value.get_object().get(object)) return Bad(name, "expected an object with dtype, shape and data_offsets");
    Entry entry;
    entry.info.name = name;
    bool dtype = false, shape = false, offsets = false;
    for (auto field : object) {
      std::string_view key;
      json::value part;
      if (field.unescaped_key().get(key) || field.value().get(part)) return Bad(name, "malformed JSON");
      bool* const seen = key == "dtype" ? &dtype : key == "shape" ? &shape : key == "data_offsets" ? &offsets : nullptr;
      if (seen == nullptr) return Bad(name, Cat("unknown field ", Quoted(key)));
      if (std::exchange(*seen, true)) return Bad(name, Cat("the field ", Quoted(key), " appears twice"));
      absl::Status status = seen == &dtype   ? ReadDType(name, part, entry)
                            : seen == &shape ? ReadShape(name, part, entry)
                                             : ReadOffsets(name, part, entry);
      if (!status.ok()) return status;
    }
    if (!dtype || !shape || !offsets) return Bad(name, "expected dtype, shape and data_offsets");
    entries.push_back(std::move(entry));
    return absl::OkStatus();
  }

  absl::Status ReadDType(std::string_view name, json::value value, Entry& entry) const {
    std::string_view text;
    if (value.get_string().get(text)) return Bad(name, "dtype: expected a string");
    const std::optional<DType> type = ParseDType(text);
    if (type) {
      entry.info.dtype = *type;
      return absl::OkStatus();
    }
    static constexpr std::string_view kKnown[] = {"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0"};
    if (std::find(std::begin(kKnown), std::end(kKnown), text) != std::end(kKnown)) {
      return absl::UnimplementedError(
          Cat(source_.name(), ": tensor ", Quoted(name), ": elements of type ", text, " are not understood"));
    }
    return Bad(name, Cat("dtype: unknown type ", Quoted(text)));
  }

  absl::Status ReadShape(std::string_view name, json::value value, Entry& entry) const {
    json::array array;
    if (value.get_array().get(array)) return Bad(name, "shape: expected an array");
    for (auto element : array) {
      uint64_t dim = 0;
      if (element.get_uint64().get(dim)) return Bad(name, "shape: expected non-negative integers");
      if (entry.info.shape.size() == kMaxRank) return OverLimit(source_, "dimensions", kMaxRank + 1, kMaxRank);
      entry.info.shape.push_back(dim);
    }
    return absl::OkStatus();
  }

  absl::Status ReadOffsets(std::string_view name, json::value value, Entry& entry) const {
    json::array array;
    if (value.get_array().get(array)) return Bad(name, "data_offsets: expected an array");
    size_t count = 0;
    for (auto element : array) {
      uint64_t offset = 0;
      if (element.get_uint64().get(offset)) return Bad(name, "data_offsets: expected non-negative integers");
      if (count == 2) return Bad(name, "data_offsets: expected two integers, found more");
      (count++ == 0 ? entry.begin : entry.end) = offset;
    }
    if (count != 2) return Bad(name, "data_offsets: expected two integers");
    return absl::OkStatus();
  }

  const Source& source_;
  Keys names_;  // Views into the parser's buffer.
};

// Tensors must tile the bytes behind the header: nothing overlaps, nothing is left over where other data could hide.
absl::Status PlaceEntries(const Source& source, uint64_t data_start, std::vector<Entry>& entries) {
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t at = 0;
  for (Entry& entry : entries) {
    const std::string where = Cat("safetensors header, ", Quoted(entry.info.name), ": ");
    if (entry.begin != at || entry.end < entry.begin) {
      return Malformed(source, Cat(where, "data_offsets [", entry.begin, ", ", entry.end, "]: expected to start at ",
                                   at, ", where the tensor before it ends"));
    }
    const std::optional<uint64_t> bytes = TensorBytes(entry.info.shape, entry.info.dtype);
    if (!bytes) return Malformed(source, Cat(where, "shape: the size overflows"));
    if (entry.end - entry.begin != *bytes) {
      return Malformed(
          source, Cat(where, "data_offsets span ", entry.end - entry.begin, " bytes, shape and dtype make ", *bytes));
    }
    entry.info.offset = data_start + entry.begin;
    at = entry.end;
  }
  if (at != source.size() - data_start) {
    return Malformed(source, Cat("safetensors: the tensors take ", at, " bytes, but ", source.size() - data_start,
                                 " follow the header"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TensorTable> ReadSafetensors(const Source& source) {
  std::vector<std::byte> scratch;
  absl::StatusOr<std::span<const std::byte>> prefix = source.Read(0, kPrefix, scratch);
  if (!prefix.ok()) return Malformed(source, "safetensors: expected 8 bytes of header length");
  uint64_t length = 0;
  std::memcpy(&length, prefix->data(), sizeof(length));
  if (length > kMaxHeader)
    return Malformed(source, Cat("safetensors: header length ", length, ", the format's limit is ", kMaxHeader));
  if (length > source.size() - kPrefix) {
    return Malformed(
        source, Cat("safetensors: header length ", length, ", but only ", source.size() - kPrefix, " bytes follow"));
  }
  absl::StatusOr<std::span<const std::byte>> bytes = source.Read(kPrefix, length, scratch);
  if (!bytes.ok()) return bytes.status();
  const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  if (text.empty() || text.front() != '{') return Malformed(source, "safetensors: expected the header to start with {");
  HeaderReader header(source);
  if (absl::Status status = header.Read(simdjson::padded_string(text)); !status.ok()) return status;
  if (absl::Status status = PlaceEntries(source, kPrefix + length, header.entries); !status.ok()) return status;
  TensorTable table;
  table.metadata = std::move(header.metadata);
  table.tensors.reserve(header.entries.size());
  for (Entry& entry : header.entries) table.tensors.push_back(std::move(entry.info));
  return table;
}

}  // namespace driftseal::artifact
