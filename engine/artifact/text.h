#ifndef DRIFTSEAL_ENGINE_ARTIFACT_TEXT_H_
#define DRIFTSEAL_ENGINE_ARTIFACT_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"

namespace driftseal::artifact {

// Distributions build Abseil with a string_view of its own, which std::string_view does not convert to.
inline absl::string_view ForAbsl(std::string_view text) { return {text.data(), text.size()}; }
template <typename T>
const T& ForAbsl(const T& value) {
  return value;
}

/// absl::StrCat that also takes std::string_view.
template <typename... Parts>
std::string Cat(const Parts&... parts) {
  return absl::StrCat(ForAbsl(parts)...);
}

/// The parts of `text` between the separators, empty ones left out.
std::vector<std::string_view> SplitNonEmpty(std::string_view text, char separator);
/// `text` in quotes, cut to `shown` bytes and escaped for a message: names come from hostile files.
std::string Quoted(std::string_view text, size_t shown = 120);

/// Code point and length in bytes of the first character of `text`, which is not empty; 0 for bytes that are not UTF-8
/// (RFC 3629: shortest forms only, no surrogates).
size_t DecodeUtf8(std::string_view text, uint32_t& code);
/// Control characters (C0, C1, DEL), and those that change the direction of text (Unicode Annex 9) or the line.
bool Disturbs(uint32_t code);

}  // namespace driftseal::artifact

#endif  // DRIFTSEAL_ENGINE_ARTIFACT_TEXT_H_
