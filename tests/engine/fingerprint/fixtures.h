#ifndef DRIFTSEAL_TESTS_ENGINE_FINGERPRINT_FIXTURES_H_
#define DRIFTSEAL_TESTS_ENGINE_FINGERPRINT_FIXTURES_H_

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "engine/fingerprint/fingerprint.h"

namespace driftseal::fingerprint {

inline std::string Message(const absl::Status& status) { return std::string(status.message()); }

inline artifact::Source SourceOf(std::string_view bytes, std::string name = "test") {
  const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
  return artifact::Source::FromBytes(std::move(name), {first, first + bytes.size()});
}

inline artifact::NamedTensor FloatTensor(std::string name, std::vector<uint64_t> shape,
                                         const std::vector<float>& values) {
  const auto* first = reinterpret_cast<const std::byte*>(values.data());
  return {std::move(name), std::move(shape), artifact::DType::kF32, {first, first + values.size() * sizeof(float)}};
}

/// Column of a feature; the number of columns when there is none of that name.
inline size_t ColumnOf(std::string_view name) {
  const auto& features = ModelSchema().features;
  size_t column = 0;
  while (column < features.size() && features[column].name != name) ++column;
  return column;
}
inline float ValueOf(const Fingerprint& print, std::string_view name) { return print.values.at(ColumnOf(name)); }
/// Why a column is missing; "" when it is not.
inline std::string ReasonFor(const Fingerprint& print, std::string_view name) {
  const size_t column = ColumnOf(name);
  for (const Missing& missing : print.missing) {
    if (column >= missing.first && column < missing.first + missing.count) return missing.reason;
  }
  return "";
}

/// A directory of the test's own, removed with it.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "driftseal-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string path() const { return path_.string(); }
  void Write(const std::string& name, std::string_view bytes) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }

 private:
  std::filesystem::path path_;
};

inline std::string ReadText(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace driftseal::fingerprint

#endif  // DRIFTSEAL_TESTS_ENGINE_FINGERPRINT_FIXTURES_H_
