#include "fixtures.h"

#include <stdlib.h>
#include <zlib.h>

#include <fstream>
#include <iterator>

namespace driftseal::artifact {

TempDir::TempDir() {
  path_ = testing::TempDir() + "driftseal-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) std::abort();
}
TempDir::~TempDir() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}
std::string TempDir::Write(std::string_view name, std::string_view bytes) const {
  const std::string path = *this / name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}
std::string SamplePath(std::string_view name) {
  return std::string(DRIFTSEAL_SOURCE_DIR "/tests/engine/artifact/samples/") + std::string(name);
}
std::string Sample(std::string_view name) { return ReadFile(SamplePath(name)); }

Source SourceOf(std::string name, std::string_view bytes) {
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return Source::FromBytes(std::move(name), {data, data + bytes.size()});
}
absl::StatusOr<ModelFile> ReadBytes(std::string_view bytes) { return ReadModelFile(SourceOf("m", bytes)); }

std::string Le(uint64_t value, size_t bytes) {
  std::string out;
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}
uint32_t Crc32(std::string_view bytes) {
  return static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

std::string MakeZip(const std::vector<ZipEntry>& entries, const ZipOptions& options) {
  std::string file = options.front, directory;
  for (const ZipEntry& entry : entries) {
    const uint64_t header = file.size(), size = entry.data.size();
    const uint32_t crc = static_cast<uint32_t>(Crc32(entry.data) + entry.crc_change);
    const uint16_t flags = static_cast<uint16_t>(entry.flags | (entry.descriptor ? 8 : 0));
    const std::string name = entry.local_name.empty() ? entry.name : entry.local_name;
    const uint64_t local_size = entry.descriptor ? 0 : size + entry.local_size_change;
    const uint64_t local_crc = entry.descriptor ? 0 : crc + entry.local_crc_change;
    file += "PK\3\4" + Le(20, 2) + Le(flags, 2) + Le(entry.method, 2) + Le(0, 4) + Le(local_crc, 4) +
            Le(local_size, 4) + Le(local_size, 4) + Le(name.size(), 2) + Le(entry.extra.size(), 2) + name +
            entry.extra + entry.data;
    if (entry.descriptor) file += "PK\7\10" + Le(crc + entry.local_crc_change, 4) + Le(size, 4) + Le(size, 4);
    file += entry.behind;
    directory += "PK\1\2" + Le(0, 4) + Le(flags, 2) + Le(entry.method, 2) + Le(0, 4) + Le(crc, 4) + Le(size, 4) +
                 Le(size, 4) + Le(entry.name.size(), 2) + Le(0, 8) + Le(0, 4) + Le(header + entry.header_change, 4) +
                 entry.name;
  }
  const uint64_t count = entries.size() + options.count_change, start = file.size() + options.start_change;
  const uint64_t size = directory.size() + options.size_change, record = file.size() + directory.size();
  file += directory;
  if (options.zip64) {
    file += "PK\6\6" + Le(44, 8) + Le(0, 4) + Le(0, 8) + Le(count, 8) + Le(count, 8) + Le(size, 8) + Le(start, 8);
    file += "PK\6\7" + Le(0, 4) + Le(record, 8) + Le(1, 4);
    return file + "PK\5\6" + Le(0, 4) + Le(0xffff, 2) + Le(0xffff, 2) + Le(~0u, 4) + Le(~0u, 4) + Le(0, 2) +
           options.behind;
  }
  return file + "PK\5\6" + Le(0, 4) + Le(count, 2) + Le(count, 2) + Le(size, 4) + Le(start, 4) + Le(0, 2) +
         options.behind;
}

std::string MakeTorchZip(std::string_view pickle, const std::vector<std::pair<std::string, std::string>>& storages) {
  std::vector<ZipEntry> entries = {{.name = "m/data.pkl", .data = std::string(pickle)},
                                   {.name = "m/byteorder", .data = "little"}};
  for (const auto& [key, data] : storages) entries.push_back({.name = "m/data/" + key, .data = data});
  return MakeZip(entries);
}

namespace pickle {

std::string Text(std::string_view text) { return "X" + Le(text.size(), 4) + std::string(text); }
std::string Global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
std::string Int(int32_t value) { return "J" + Le(static_cast<uint32_t>(value), 4); }
std::string Ints(const std::vector<int32_t>& values) {
  std::string out = "(";
  for (const int32_t value : values) out += Int(value);
  return out + "t";
}
std::string Storage(std::string_view type, std::string_view key, int32_t elements) {
  return "(" + Text("storage") + Global("torch", type) + Text(key) + Text("cpu") + Int(elements) + "tQ";
}
std::string Tensor(std::string_view storage, int32_t offset, const std::vector<int32_t>& shape,
                   const std::vector<int32_t>& strides) {
  return Global("torch._utils", "_rebuild_tensor_v2") + "(" + std::string(storage) + Int(offset) + Ints(shape) +
         Ints(strides) + "\x89" + Global("collections", "OrderedDict") + ")RtR";
}

}  // namespace pickle
}  // namespace driftseal::artifact
