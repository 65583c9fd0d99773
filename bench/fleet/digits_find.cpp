#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "bench/fleet/digits_data.h"

namespace driftseal::fleet {
namespace {

namespace fs = std::filesystem;

/// Of a Python installation, "PREFIX/lib/python3.11/site-packages/...". Empty where it has none.
std::string Below(const fs::path& prefix) {
  std::error_code error;
  for (const char* lib : {"lib", "lib64", "local/lib"}) {
    for (const auto& entry : fs::directory_iterator(prefix / lib, error)) {
      if (!entry.path().filename().string().starts_with("python3")) continue;
      for (const char* packages : {"site-packages", "dist-packages"}) {
        const fs::path file = entry.path() / packages / "sklearn/datasets/data/digits.csv.gz";
        if (fs::is_regular_file(file, error)) return file.string();
      }
    }
  }
  return "";
}

}  // namespace

std::string FindDigits() {
  std::error_code error;
  for (fs::path from : {fs::read_symlink("/proc/self/exe", error), fs::current_path(error)}) {
    for (; from.has_relative_path(); from = from.parent_path()) {
      for (const char* environment : {"venv", "build/venv"}) {
        if (std::string file = Below(from / environment); !file.empty()) return file;
      }
    }
  }
  const char* path = std::getenv("PATH");
  for (const absl::string_view folder : absl::StrSplit(path == nullptr ? "" : path, ':', absl::SkipEmpty())) {
    const fs::path python = fs::path(std::string(folder)) / "python3";
    if (!fs::exists(python, error)) continue;
    return Below(python.parent_path().parent_path());
  }
  return "";
}

}  // namespace driftseal::fleet
