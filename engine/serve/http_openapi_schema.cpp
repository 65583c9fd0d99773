#include "engine/serve/http_openapi_schema.h"

#include "engine/artifact/text.h"
#include "google/protobuf/descriptor.pb.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using Json = nlohmann::ordered_json;

// " A line.\n The next.\n\n A paragraph.\n" → "A line. The next.\n\nA paragraph."
std::string Joined(const std::string& comment) {
  std::string text;
  size_t begin = 0;
  while (begin < comment.size()) {
    size_t end = comment.find('\n', begin);
    if (end == std::string::npos) end = comment.size();
    const size_t first = comment.find_first_not_of(' ', begin);
    const bool empty = first == std::string::npos || first >= end;
    if (empty) {
      text += "\n\n";
    } else {
      if (!text.empty() && text.back() != '\n') text += ' ';
      text.append(comment, first, end - first);
    }
    begin = end + 1;
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

template <typename Declaration>
std::string CommentOf(const Declaration* declaration) {
  google::protobuf::SourceLocation location;
  return declaration != nullptr && declaration->GetSourceLocation(&location) ? Joined(location.leading_comments) : "";
}

// Without the package; nested ones have their parent's name before theirs.
std::string NameOf(const Descriptor* message) {
  const std::string prefix = message->file()->package() + ".";
  std::string name = message->full_name().substr(prefix.size());
  for (size_t dot; (dot = name.find('.')) != std::string::npos;) name.erase(dot, 1);
  return name;
}

Json Number() {
  return {{"oneOf", {{{"type", "number"}}, {{"type", "string"}, {"enum", {"NaN", "Infinity", "-Infinity"}}}}}};
}

Json Integer(int64_t least, int64_t most) { return {{"type", "integer"}, {"minimum", least}, {"maximum", most}}; }

Json Enum(const google::protobuf::EnumDescriptor* type) {
  Json values = Json::array();
  std::string text;
  for (int i = 0; i < type->value_count(); ++i) {
    values.push_back(type->value(i)->name());
    text += Cat(i == 0 ? "" : "\n", "- `", type->value(i)->name(), "`: ", CommentOf(type->value(i)));
  }
  return {{"type", "string"}, {"enum", std::move(values)}, {"description", text}};
}

// Of messages that the mapping writes in a way of their own.
Json WellKnown(const Descriptor* message) {
  const std::string& name = message->full_name();
  if (name == "google.protobuf.Timestamp") return {{"type", "string"}, {"format", "date-time"}};
  if (name == "google.protobuf.Duration") return {{"type", "string"}, {"pattern", "^-?[0-9]+(\\.[0-9]+)?s$"}};
  if (name == "google.protobuf.Struct") return {{"type", "object"}, {"additionalProperties", true}};
  return Json();
}

}  // namespace

OpenApiSchemas::OpenApiSchemas(std::string_view descriptors) {
  google::protobuf::FileDescriptorSet set;
  if (!set.ParseFromArray(descriptors.data(), static_cast<int>(descriptors.size()))) return;
  for (const auto& file : set.file()) pool_.BuildFile(file);
}

std::string OpenApiSchemas::Comment(const Descriptor* message) const {
  return CommentOf(pool_.FindMessageTypeByName(message->full_name()));
}
std::string OpenApiSchemas::Comment(const FieldDescriptor* field) const {
  return CommentOf(pool_.FindFieldByName(field->full_name()));
}
std::string OpenApiSchemas::Comment(const google::protobuf::MethodDescriptor* method) const {
  return CommentOf(pool_.FindMethodByName(method->full_name()));
}
std::string OpenApiSchemas::Comment(const google::protobuf::ServiceDescriptor* service) const {
  return CommentOf(pool_.FindServiceByName(service->full_name()));
}

Json OpenApiSchemas::Field(const FieldDescriptor* field, bool description) const {
  Json schema;
  switch (field->type()) {
    case FieldDescriptor::TYPE_BOOL:
      schema = {{"type", "boolean"}};
      break;
    case FieldDescriptor::TYPE_DOUBLE:
    case FieldDescriptor::TYPE_FLOAT:
      schema = Number();
      break;
    case FieldDescriptor::TYPE_INT32:
      schema = Integer(INT32_MIN, INT32_MAX);
      break;
    case FieldDescriptor::TYPE_UINT32:
      schema = Integer(0, UINT32_MAX);
      break;
    case FieldDescriptor::TYPE_INT64:
      schema = {{"type", "string"}, {"pattern", "^-?[0-9]+$"}};
      break;
    case FieldDescriptor::TYPE_UINT64:
      schema = {{"type", "string"}, {"pattern", "^[0-9]+$"}};
      break;
    case FieldDescriptor::TYPE_BYTES:
      schema = {{"type", "string"}, {"contentEncoding", "base64"}};
      break;
    case FieldDescriptor::TYPE_ENUM:
      schema = Enum(pool_.FindEnumTypeByName(field->enum_type()->full_name()));
      break;
    default:
      schema = {{"type", "string"}};
      break;
  }
  if (field->is_repeated()) schema = {{"type", "array"}, {"items", std::move(schema)}};
  if (const std::string text = Comment(field); description && !text.empty()) {
    const std::string values = schema.value("description", "");
    schema["description"] = values.empty() ? text : Cat(text, "\n\n", values);
  }
  return schema;
}

Json OpenApiSchemas::Property(const FieldDescriptor* field, bool request) {
  if (field->message_type() == nullptr) {
    Json schema = Field(field, true);
    // 64-bit integers are written as strings and taken as either.
    if (request && schema.contains("pattern")) schema["type"] = {"string", "integer"};
    return schema;
  }
  Json schema = WellKnown(field->message_type());
  if (schema.is_null()) schema = Reference(field->message_type(), request);
  if (field->is_repeated()) schema = {{"type", "array"}, {"items", std::move(schema)}};
  if (const std::string text = Comment(field); !text.empty()) schema["description"] = text;
  return schema;
}

Json OpenApiSchemas::Message(const Descriptor* message, bool request) {
  Json schema = {{"type", "object"}};
  if (const std::string text = Comment(message); !text.empty()) schema["description"] = text;
  Json properties = Json::object(), required = Json::array();
  for (int i = 0; i < message->field_count(); ++i) {
    const FieldDescriptor* field = message->field(i);
    properties[field->name()] = Property(field, request);
    if (!request && !field->has_presence()) required.push_back(field->name());
  }
  schema["properties"] = std::move(properties);
  if (!required.empty()) schema["required"] = std::move(required);
  if (request) schema["additionalProperties"] = false;
  return schema;
}

Json OpenApiSchemas::Reference(const Descriptor* message, bool request) {
  std::string name = NameOf(message);
  // One that stands in requests and in answers has two schemas.
  if (of_request_.emplace(name, request).first->second != request) name += request ? "Input" : "Output";
  // Of a message that holds itself the entry must be there first.
  if (!schemas_.contains(name)) {
    schemas_[name] = Json::object();
    schemas_[name] = Message(message, request);
  }
  return {{"$ref", Cat("#/components/schemas/", name)}};
}

Json OpenApiSchemas::Take() const {
  Json all = Json::object();
  for (const auto& [name, schema] : schemas_) all[name] = schema;
  return all;
}

}  // namespace driftseal::serve
