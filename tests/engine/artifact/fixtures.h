#ifndef DRIFTSEAL_TESTS_ENGINE_ARTIFACT_FIXTURES_H_
#define DRIFTSEAL_TESTS_ENGINE_ARTIFACT_FIXTURES_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/artifact/model_file.h"
#include "engine/artifact/source.h"

namespace driftseal::artifact {

inline absl::Status StatusOf(const absl::Status& status) { return status; }
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

/// The code, and a message in which `text` stands.
MATCHER_P2(Fails, code, text, "") {
  const absl::Status status = StatusOf(arg);
  *result_listener << status.ToString();
  return status.code() == code && std::string(status.message()).find(text) != std::string::npos;
}
MATCHER(IsOk, "") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

/// A directory of the test's own, removed with all that is in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }
  /// Writes a file and returns its path.
  std::string Write(std::string_view name, std::string_view bytes) const;

 private:
  std::string path_;
};

std::string ReadFile(const std::string& path);
std::string SamplePath(std::string_view name);
std::string Sample(std::string_view name);
Source SourceOf(std::string name, std::string_view bytes);
absl::StatusOr<ModelFile> ReadBytes(std::string_view bytes);  ///< As a file named "m".

/// Little-endian.
std::string Le(uint64_t value, size_t bytes);
uint32_t Crc32(std::string_view bytes);

/// A zip archive of stored members as miniz would write them for torch, with a way to get each of its fields wrong.
struct ZipEntry {
  std::string name{}, data{};
  uint16_t flags = 0, method = 0;
  std::string local_name{};  ///< Where it differs from `name`.
  int64_t crc_change = 0, local_crc_change = 0, local_size_change = 0, header_change = 0;
  bool descriptor = false;
  std::string extra{}, behind{};  ///< `behind`: bytes after the data.
};
struct ZipOptions {
  std::string front{}, behind{};
  int64_t count_change = 0, start_change = 0, size_change = 0;
  bool zip64 = false;
};
std::string MakeZip(const std::vector<ZipEntry>& entries, const ZipOptions& options = {});

/// A torch archive around a pickle and its storages.
std::string MakeTorchZip(std::string_view pickle,
                         const std::vector<std::pair<std::string, std::string>>& storages = {});

/// Parts of pickles.
namespace pickle {
std::string Text(std::string_view text);                             ///< BINUNICODE
std::string Global(std::string_view module, std::string_view name);  ///< GLOBAL
std::string Int(int32_t value);                                      ///< BININT
std::string Ints(const std::vector<int32_t>& values);                ///< A tuple.
std::string Storage(std::string_view type, std::string_view key, int32_t elements);
std::string Tensor(std::string_view storage, int32_t offset, const std::vector<int32_t>& shape,
                   const std::vector<int32_t>& strides);
}  // namespace pickle

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_TESTS_ENGINE_ARTIFACT_FIXTURES_H_
