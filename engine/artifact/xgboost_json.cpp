#include <simdjson.h>

#include "engine/artifact/booster_builder.h"
#include "engine/artifact/formats.h"
#include "engine/artifact/text.h"

namespace driftseal::artifact {
namespace {

namespace json = simdjson::ondemand;

constexpr uint64_t kMaxDocument = 256u << 20;

// Reports a document to a builder, whose limit on nesting bounds the recursion.
class Reporter {
 public:
  explicit Reporter(BoosterBuilder& builder) : builder_(builder) {}

  absl::Status Object(json::object object) {
    if (absl::Status status = builder_.StartObject(); !status.ok()) return status;
    for (auto field : object) {
      std::string_view key;
      json::value value;
      if (auto error = field.unescaped_key().get(key)) return Bad(error);
      if (absl::Status status = builder_.Key(key); !status.ok()) return status;
      if (auto error = field.value().get(value)) return Bad(error);
      if (absl::Status status = Value(value); !status.ok()) return status;
    }
    return builder_.EndObject();
  }

 private:
  absl::Status Bad(simdjson::error_code error) const {
    return builder_.Bad(Cat("malformed JSON: ", simdjson::error_message(error)));
  }

  absl::Status Array(json::array array) {
    if (absl::Status status = builder_.StartArray(); !status.ok()) return status;
    for (auto element : array) {
      json::value value;
      if (auto error = element.get(value)) return Bad(error);
      if (absl::Status status = Value(value); !status.ok()) return status;
    }
    return builder_.EndArray();
  }

  absl::Status Value(json::value value) {
    json::json_type type;
    if (auto error = value.type().get(type)) return Bad(error);
    switch (type) {
      case json::json_type::object: {
        json::object object;
        if (auto error = value.get_object().get(object)) return Bad(error);
        return Object(object);
      }
      case json::json_type::array: {
        json::array array;
        if (auto error = value.get_array().get(array)) return Bad(error);
        return Array(array);
      }
      case json::json_type::string: {
        std::string_view text;
        if (auto error = value.get_string().get(text)) return Bad(error);
        return builder_.String(text);
      }
      case json::json_type::number: {
        double number = 0;
        if (auto error = value.get_double().get(number)) return Bad(error);
        return builder_.Number(number);
      }
      case json::json_type::boolean: {
        bool flag = false;
        if (auto error = value.get_bool().get(flag)) return Bad(error);
        return builder_.Bool(flag);
      }
      default: {
        bool null = false;
        if (auto error = value.is_null().get(null)) return Bad(error);
        return null ? builder_.Null() : builder_.Bad("malformed JSON: expected null");
      }
    }
  }

  BoosterBuilder& builder_;
};

}  // namespace

absl::StatusOr<Booster> ReadXgboostJson(const Source& source) {
  std::vector<std::byte> scratch;
  const auto bytes = source.ReadAll(kMaxDocument, scratch);
  if (!bytes.ok()) return bytes.status();
  const simdjson::padded_string text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  scratch = {};
  json::parser parser;
  json::document document;
  json::object object;
  if (auto error = parser.iterate(text).get(document))
    return Malformed(source, Cat("malformed JSON: ", simdjson::error_message(error)));
  if (auto error = document.get_object().get(object))
    return Malformed(source, Cat("malformed JSON: ", simdjson::error_message(error)));
  BoosterBuilder builder(source.name());
  if (absl::Status status = Reporter(builder).Object(object); !status.ok()) return status;
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    return Malformed(source, "malformed JSON: expected nothing behind the closing brace");
  }
  return builder.Finish();
}

}  // namespace driftseal::artifact
