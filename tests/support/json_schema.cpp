#include "tests/support/json_schema.h"

#include <algorithm>
#include <map>
#include <regex>
#include <stdexcept>

#include "tests/support/temp_folder.h"

namespace driftseal::testing {
namespace {

using nlohmann::json;

class Checker {
 public:
  explicit Checker(const json& root) : root_(root) {}

  void Check(const json& schema, const json& value, const std::string& at) {
    if (schema.is_boolean()) {
      if (!schema.get<bool>()) Add(at, "is not allowed here");
      return;
    }
    for (const auto& [keyword, argument] : schema.items()) {
      const auto known = Keywords().find(keyword);
      if (known == Keywords().end()) throw std::invalid_argument("JSON Schema keyword that is not checked: " + keyword);
      if (known->second != nullptr) (this->*known->second)(argument, value, at, schema);
    }
  }
  std::vector<std::string> errors;

 private:
  using Rule = void (Checker::*)(const json& argument, const json& value, const std::string& at, const json& schema);

  static const std::map<std::string, Rule>& Keywords() {
    static const std::map<std::string, Rule> keywords = {{"$schema", nullptr},
                                                         {"$id", nullptr},
                                                         {"$defs", nullptr},
                                                         {"title", nullptr},
                                                         {"description", nullptr},
                                                         {"$ref", &Checker::Reference},
                                                         {"type", &Checker::Type},
                                                         {"enum", &Checker::Enum},
                                                         {"const", &Checker::Const},
                                                         {"required", &Checker::Required},
                                                         {"properties", &Checker::Properties},
                                                         {"additionalProperties", &Checker::AdditionalProperties},
                                                         {"items", &Checker::Items},
                                                         {"minItems", &Checker::MinItems},
                                                         {"maxItems", &Checker::MaxItems},
                                                         {"minimum", &Checker::Minimum},
                                                         {"maximum", &Checker::Maximum},
                                                         {"pattern", &Checker::Pattern},
                                                         {"oneOf", &Checker::OneOf}};
    return keywords;
  }

  void Add(const std::string& at, const std::string& what) { errors.push_back((at.empty() ? "/" : at) + ": " + what); }

  void Reference(const json& argument, const json& value, const std::string& at, const json&) {
    const std::string target = argument.get<std::string>();
    if (!target.starts_with("#/")) throw std::invalid_argument("$ref " + target + ": only '#/...' is followed");
    Check(root_.at(json::json_pointer(target.substr(1))), value, at);
  }
  static bool Is(const std::string& type, const json& value) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "null") return value.is_null();
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    throw std::invalid_argument("type " + type);
  }
  void Type(const json& argument, const json& value, const std::string& at, const json&) {
    for (const json& type : argument.is_array() ? argument : json::array({argument})) {
      if (Is(type.get<std::string>(), value)) return;
    }
    Add(at, "is " + value.dump().substr(0, 60) + ", expected " + argument.dump());
  }
  void Enum(const json& argument, const json& value, const std::string& at, const json&) {
    for (const json& allowed : argument) {
      if (allowed == value) return;
    }
    Add(at, "is " + value.dump().substr(0, 60) + ", expected one of " + argument.dump());
  }
  void Const(const json& argument, const json& value, const std::string& at, const json&) {
    if (argument != value) Add(at, "is " + value.dump().substr(0, 60) + ", expected " + argument.dump());
  }
  void Required(const json& argument, const json& value, const std::string& at, const json&) {
    for (const json& name : argument) {
      if (value.is_object() && !value.contains(name.get<std::string>()))
        Add(at, name.get<std::string>() + " is missing");
    }
  }
  void Properties(const json& argument, const json& value, const std::string& at, const json&) {
    if (!value.is_object()) return;
    for (const auto& [name, schema] : argument.items()) {
      if (value.contains(name)) Check(schema, value[name], at + "/" + name);
    }
  }
  void AdditionalProperties(const json& argument, const json& value, const std::string& at, const json& schema) {
    if (!value.is_object()) return;
    for (const auto& [name, member] : value.items()) {
      if (!schema.value("properties", json::object()).contains(name)) Check(argument, member, at + "/" + name);
    }
  }
  void Items(const json& argument, const json& value, const std::string& at, const json&) {
    for (size_t i = 0; value.is_array() && i < value.size(); ++i)
      Check(argument, value[i], at + "/" + std::to_string(i));
  }
  void MinItems(const json& argument, const json& value, const std::string& at, const json&) {
    if (value.is_array() && value.size() < argument.get<size_t>()) Add(at, "has too few entries");
  }
  void MaxItems(const json& argument, const json& value, const std::string& at, const json&) {
    if (value.is_array() && value.size() > argument.get<size_t>()) Add(at, "has too many entries");
  }
  void Minimum(const json& argument, const json& value, const std::string& at, const json&) {
    if (value.is_number() && value.get<double>() < argument.get<double>()) Add(at, "is below " + argument.dump());
  }
  void Maximum(const json& argument, const json& value, const std::string& at, const json&) {
    if (value.is_number() && value.get<double>() > argument.get<double>()) Add(at, "is above " + argument.dump());
  }
  void Pattern(const json& argument, const json& value, const std::string& at, const json&) {
    if (value.is_string() && !std::regex_search(value.get<std::string>(), std::regex(argument.get<std::string>()))) {
      Add(at, value.dump() + " does not match " + argument.dump());
    }
  }
  void OneOf(const json& argument, const json& value, const std::string& at, const json&) {
    size_t matches = 0;
    std::string reasons;
    for (const json& schema : argument) {
      Checker branch(root_);
      branch.Check(schema, value, at);
      matches += branch.errors.empty();
      if (!branch.errors.empty()) reasons += "; " + branch.errors.front();
    }
    if (matches != 1) Add(at, std::to_string(matches) + " of the alternatives match, expected one" + reasons);
  }

  const json& root_;
};

}  // namespace

std::vector<std::string> SchemaErrors(const json& schema, const json& value) {
  Checker checker(schema);
  checker.Check(schema, value, "");
  return checker.errors;
}

std::vector<std::string> PublishedSchemaErrors(const std::string& name, const json& value) {
  const size_t hash = std::min(name.find('#'), name.size());
  const std::string path = std::string(DRIFTSEAL_SOURCE_DIR "/docs/schemas/") + name.substr(0, hash) + ".schema.json";
  const json root = json::parse(ReadFile(path));
  Checker checker(root);
  checker.Check(hash == name.size() ? root : root.at(json::json_pointer(name.substr(hash + 1))), value, "");
  return checker.errors;
}

}  // namespace driftseal::testing
