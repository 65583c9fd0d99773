#include "tests/support/temp_folder.h"

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace driftseal::testing {

namespace fs = std::filesystem;

TempFolder::TempFolder() {
  std::string pattern = (fs::temp_directory_path() / "driftseal-test.XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error(pattern + ": no temporary folder");
  // Canonical, so that paths which a program resolves compare equal.
  path_ = fs::canonical(pattern);
  fs::permissions(path_,
                  fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read | fs::perms::others_exec,
                  fs::perm_options::add);
}

TempFolder::~TempFolder() {
  std::error_code error;
  // What a test made unreadable is made removable first.
  for (fs::recursive_directory_iterator walk(path_, error), end; !error && walk != end; walk.increment(error)) {
    if (walk->is_directory(error) && !walk->is_symlink(error)) {
      fs::permissions(walk->path(), fs::perms::owner_all, fs::perm_options::add, error);
    }
  }
  fs::remove_all(path_, error);
}

std::string TempFolder::Write(std::string_view name, std::string_view bytes) const {
  WriteFile(path_ / name, bytes);
  return (path_ / name).string();
}

std::string TempFolder::Read(std::string_view name) const { return ReadFile(path_ / name); }

bool TempFolder::Exists(std::string_view name) const { return fs::exists(path_ / name); }

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path.string() + ": could not be read");
  return {std::istreambuf_iterator<char>(in), {}};
}

void WriteFile(const fs::path& path, std::string_view bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw std::runtime_error(path.string() + ": could not be written");
}

std::vector<std::string> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace driftseal::testing
