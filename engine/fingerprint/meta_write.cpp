#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/artifact/text.h"
#include "engine/fingerprint/meta.h"

namespace driftseal::fingerprint {
namespace {

using artifact::Cat;
using Json = nlohmann::ordered_json;

struct Layout {
  int indent = -1;  // Of a level; -1 for a text on one line.
  char blank = ' ';
};

// As far as the line of the first member tells.
Layout LayoutOf(std::string_view json) {
  const size_t line = json.find('\n');
  const size_t text = json.find_first_not_of(" \t\r\n", line == json.npos ? json.size() : line);
  if (text == json.npos) return {};
  const size_t begin = json.rfind('\n', text) + 1;
  if (json[begin] == '\t') return {std::min(static_cast<int>(text - begin), 8), '\t'};
  const int spaces = static_cast<int>(text - begin);
  return {spaces > 0 && spaces <= 8 ? spaces : 2, ' '};
}

// Paths that are not UTF-8 cannot stand in JSON; those of a meta file are.
std::string Written(const Json& document, std::string_view like) {
  const Layout layout = LayoutOf(like);
  std::string text = document.dump(layout.indent, layout.blank, /*ensure_ascii=*/false, Json::error_handler_t::replace);
  if (like.ends_with('\n')) text += '\n';
  return text;
}

Json& ObjectAt(Json& document, const char* key) {
  Json& object = document[key];
  if (object.is_null()) object = Json::object();
  return object;
}

// Also bounds the depth for the parser and makes sure that what is filled in has the right type.
absl::StatusOr<Json> Parsed(std::string_view json, std::string_view file_name) {
  if (const auto meta = ParseMeta(json, file_name); !meta.ok()) return meta.status();
  Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return absl::InvalidArgumentError(Cat(file_name, ": expected a JSON object"));
  return document;
}

}  // namespace

absl::StatusOr<std::string> WithRecordedDigests(std::string_view json, std::string_view file_name,
                                                const std::map<std::string, artifact::Digest>& fields,
                                                const std::map<std::string, artifact::Digest>& related,
                                                bool overwrite) {
  absl::StatusOr<Json> document = Parsed(json, file_name);
  if (!document.ok()) return document.status();
  const auto set = [overwrite](Json& object, const std::string& key, const artifact::Digest& digest) {
    if (overwrite || !object.contains(key) || object[key].is_null()) object[key] = digest.Hex();
  };
  if (fields.empty() && related.empty()) return std::string(json);
  Json& fingerprint = ObjectAt(*document, "fingerprint");
  for (const auto& [key, digest] : fields) set(fingerprint, key, digest);
  if (!related.empty()) {
    Json& object = ObjectAt(fingerprint, "related_sha256");
    for (const auto& [path, digest] : related) set(object, path, digest);
  }
  return Written(*document, json);
}

absl::StatusOr<std::string> WithRecordedCanaries(std::string_view json, std::string_view file_name,
                                                 const RecordedCanaries& canaries) {
  absl::StatusOr<Json> document = Parsed(json, file_name);
  if (!document.ok()) return document.status();
  ObjectAt(*document, "artifacts")["canary_path"] = canaries.path;
  Json& fingerprint = ObjectAt(*document, "fingerprint");
  fingerprint["canary_sha256"] = canaries.sha256.Hex();
  fingerprint["behaviour_hash"] = canaries.behaviour_hash.Hex();
  return Written(*document, json);
}

}  // namespace driftseal::fingerprint
