#ifndef DRIFTSEAL_TESTS_SUPPORT_TEMP_FOLDER_H_
#define DRIFTSEAL_TESTS_SUPPORT_TEMP_FOLDER_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace driftseal::testing {

/// A folder of the test's own, removed with it. Everybody may enter it, so that a program under another user can.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string string() const { return path_.string(); }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  /// Writes a file, with the folders above it, and returns its path.
  std::string Write(std::string_view name, std::string_view bytes) const;
  std::string Read(std::string_view name) const;
  bool Exists(std::string_view name) const;

 private:
  std::filesystem::path path_;
};

/// Every byte of a file; throws std::runtime_error naming it when it cannot be read.
std::string ReadFile(const std::filesystem::path& path);
void WriteFile(const std::filesystem::path& path, std::string_view bytes);
/// Names in a folder, sorted, without what lies in its folders.
std::vector<std::string> NamesIn(const std::filesystem::path& folder);

}  // namespace driftseal::testing

#endif  // DRIFTSEAL_TESTS_SUPPORT_TEMP_FOLDER_H_
