#include "engine/artifact/text.h"

#include "absl/strings/escaping.h"

namespace driftseal::artifact {

std::vector<std::string_view> SplitNonEmpty(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 120;
  return Cat("\"", absl::Utf8SafeCEscape(ForAbsl(text.substr(0, kShown))), text.size() > kShown ? "...\"" : "\"");
}

}  // namespace driftseal::artifact
