#include "engine/serve/http_json.h"

#include <simdjson.h>

#include <cctype>
#include <set>

#include "engine/artifact/text.h"
#include "google/protobuf/util/json_util.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using artifact::Quoted;
namespace dom = simdjson::dom;

constexpr size_t kDepth = 32;
constexpr size_t kKeptBytes = 64 << 10;  ///< A parser that has read more is given back.
constexpr size_t kMessageBytes = 500;

// The mapping knows a field by two names: metaPath is meta_path.
std::string FieldName(std::string_view key) {
  std::string name;
  for (const char c : key) {
    if (std::isupper(static_cast<unsigned char>(c))) name += '_';
    name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return name;
}

absl::Status NoFieldTwice(const dom::element& element) {
  if (dom::array array; element.get(array) == simdjson::SUCCESS) {
    for (const dom::element item : array) {
      if (!item.is_object() && !item.is_array()) continue;
      if (absl::Status status = NoFieldTwice(item); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return absl::OkStatus();
  std::set<std::string> seen;
  for (const dom::key_value_pair field : object) {
    if (!seen.insert(FieldName(field.key)).second) {
      return absl::InvalidArgumentError(Cat("field ", Quoted(field.key), " is there twice"));
    }
    if (absl::Status status = NoFieldTwice(field.value); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Protobuf's own parser takes more than JSON: names without quotes, single quotes, a comma too many, a field twice.
absl::Status CheckStrict(std::string_view text, dom::parser& parser) {
  dom::element root;
  simdjson::error_code error = parser.allocate(text.size(), kDepth);
  if (error == simdjson::SUCCESS) error = parser.parse(text.data(), text.size()).get(root);
  if (error == simdjson::DEPTH_ERROR) {
    return absl::InvalidArgumentError(Cat("body: nested deeper than ", kDepth, " levels"));
  }
  if (error != simdjson::SUCCESS) {
    return absl::InvalidArgumentError(Cat("body: no valid JSON: ", simdjson::error_message(error)));
  }
  if (!root.is_object()) return absl::InvalidArgumentError("body: expected a JSON object");
  return NoFieldTwice(root);
}

// "(rows): cols2: Cannot find field." → "unknown field rows.cols2".
std::string Explain(absl::string_view message) {
  std::string text(message.data(), message.size());
  constexpr std::string_view kUnknown = ": Cannot find field.";
  if (text.ends_with(kUnknown)) {
    text.resize(text.size() - kUnknown.size());
    std::string path;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '(') continue;
      if (text.compare(i, 3, "): ") == 0) {
        path += '.';
        i += 2;
      } else {
        path += text[i];
      }
    }
    text = Cat("unknown field ", Quoted(path));
  }
  if (text.size() <= kMessageBytes) return text;
  size_t end = kMessageBytes;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

absl::Status FromJson(std::string_view text, google::protobuf::Message* message) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return absl::OkStatus();
  absl::Status strict;
  if (text.size() <= kKeptBytes) {
    static thread_local dom::parser kept;
    strict = CheckStrict(text, kept);
  } else {
    dom::parser parser;
    strict = CheckStrict(text, parser);
  }
  if (!strict.ok()) return strict;
  const auto parsed = google::protobuf::util::JsonStringToMessage({text.data(), text.size()}, message);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(Explain({parsed.message().data(), parsed.message().size()}));
  }
  return absl::OkStatus();
}

absl::Status ToJson(const google::protobuf::Message& message, std::string* out) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  const auto printed = google::protobuf::util::MessageToJsonString(message, out, options);
  if (!printed.ok()) return absl::InternalError(Cat(message.GetTypeName(), ": cannot be written as JSON"));
  return absl::OkStatus();
}

}  // namespace driftseal::serve
