#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "absl/strings/escaping.h"
#include "engine/app/json_fields.h"
#include "engine/app/tell.h"
#include "engine/artifact/atomic_file.h"
#include "engine/artifact/text.h"

namespace driftseal::app {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kPng = "data:image/png;base64,";
constexpr size_t kLongestName = 100;

// A file's name of a model's, which may be hostile.
std::string FileNameOf(const ordered_json& entry) {
  std::string name = TextOf(entry, "model_name").substr(0, kLongestName);
  for (char& c : name) {
    const bool plain =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '.';
    if (!plain) c = '_';
  }
  if (name.empty() || name.front() == '.') name = "model" + name;
  return name + ".png";
}

std::string PictureOf(const ordered_json& entry) {
  for (const ordered_json& signal : PartOf(entry, "signals")) {
    const ordered_json& evidence = PartOf(signal, "evidence");
    const std::string uri = evidence.is_object() ? TextOf(evidence, "picture") : "";
    std::string png;
    if (uri.starts_with(kPng) && absl::Base64Unescape(uri.substr(kPng.size()), &png)) return png;
  }
  return "";
}

}  // namespace

absl::StatusOr<std::string> WritePicture(const Arguments& arguments, const ordered_json& entry) {
  const std::string png = PictureOf(entry);
  // Programs have the picture in the JSON.
  if (png.empty() || (arguments.json && arguments.picture.empty())) return std::string();
  const std::string path = arguments.picture.empty()
                               ? artifact::Cat(arguments.model_dir, "/pictures/", FileNameOf(entry))
                               : arguments.picture;
  if (arguments.picture.empty()) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
    if (error) return absl::ErrnoToStatus(error.value(), artifact::Cat(path, ": its folder cannot be made"));
  }
  const absl::Status written = artifact::WriteFileAtomically(path, png);
  if (!written.ok()) return written;
  return path;
}

}  // namespace driftseal::app
