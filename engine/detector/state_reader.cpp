#include "engine/detector/state_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/artifact/text.h"

namespace driftseal::detector {
namespace {

using artifact::Cat;

const Json kNothing;  // null
const Json kEmptyObject = Json::object(), kEmptyArray = Json::array();

}  // namespace

void StateReader::Fail(const std::string& where, const std::string& what) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(Cat(file_, ": ", where, ": ", what));
}

const Json& StateReader::Field(const Json& parent, const std::string& where, const std::string& field) {
  const auto found = parent.is_object() ? parent.find(field) : parent.end();
  if (found == parent.end()) {
    Fail(Cat(where, ".", field), "is missing");
    return kNothing;
  }
  return *found;
}

const Json& StateReader::Object(const Json& parent, const std::string& where, const std::string& field) {
  const Json& value = Field(parent, where, field);
  Expect(value.is_object(), Cat(where, ".", field), "is not an object");
  return value.is_object() ? value : kEmptyObject;
}

const Json& StateReader::Array(const Json& parent, const std::string& where, const std::string& field) {
  const Json& value = Field(parent, where, field);
  Expect(value.is_array(), Cat(where, ".", field), "is not an array");
  return value.is_array() ? value : kEmptyArray;
}

std::string StateReader::Text(const Json& parent, const std::string& where, const std::string& field) {
  const Json& value = Field(parent, where, field);
  Expect(value.is_string(), Cat(where, ".", field), "is not a string");
  return value.is_string() ? value.get<std::string>() : std::string();
}

double StateReader::Number(const Json& parent, const std::string& where, const std::string& field) {
  const Json& value = Field(parent, where, field);
  Expect(value.is_number(), Cat(where, ".", field), "is not a number");
  return value.is_number() ? value.get<double>() : 0;
}

uint64_t StateReader::Count(const Json& parent, const std::string& where, const std::string& field, uint64_t limit) {
  const Json& value = Field(parent, where, field);
  if (!value.is_number_unsigned() || value.get<uint64_t>() > limit) {
    Fail(Cat(where, ".", field), Cat("is not a whole number from 0 to ", limit));
    return 0;
  }
  return value.get<uint64_t>();
}

std::optional<double> StateReader::OptionalNumber(const Json& parent, const std::string& where,
                                                  const std::string& field) {
  if (Field(parent, where, field).is_null()) return std::nullopt;
  return Number(parent, where, field);
}

size_t StateReader::Choice(const Json& value, const std::string& where, std::span<const std::string_view> choices) {
  if (value.is_string()) {
    const auto found = std::find(choices.begin(), choices.end(), value.get_ref<const std::string&>());
    if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  }
  std::string expected;
  for (std::string_view choice : choices) expected += Cat(expected.empty() ? "" : ", ", choice);
  Fail(where, Cat("is none of ", expected));
  return 0;
}

size_t StateReader::Choice(const Json& parent, const std::string& where, const std::string& field,
                           std::span<const std::string_view> choices) {
  return Choice(Field(parent, where, field), Cat(where, ".", field), choices);
}

const Json* StateReader::Optional(const Json& parent, const std::string& where, const std::string& field) {
  const auto found = parent.is_object() ? parent.find(field) : parent.end();
  if (found == parent.end() || found->is_null()) return nullptr;
  Expect(found->is_object(), Cat(where, ".", field), "is not an object");
  return found->is_object() ? &*found : nullptr;
}

bool StateReader::ShapeIs(const std::string& name, const std::vector<std::optional<uint64_t>>& expected) {
  const absl::StatusOr<std::vector<uint64_t>> shape = arrays_->Shape(name);
  if (!shape.ok()) {
    if (status_.ok()) status_ = shape.status();
    return false;
  }
  bool same = shape->size() == expected.size();
  for (size_t d = 0; same && d < shape->size(); ++d) same = !expected[d] || *expected[d] == (*shape)[d];
  std::string wanted;
  for (const auto& dimension : expected) {
    wanted += Cat(wanted.empty() ? "" : " x ", dimension ? Cat(*dimension) : std::string("any"));
  }
  Expect(same, Cat("tensor ", name), Cat("has not the expected shape ", wanted));
  return same;
}

template <class T>
std::vector<T> StateReader::Vector(const std::string& name, std::optional<uint64_t> size) {
  if (!ok() || !ShapeIs(name, {size})) return {};
  absl::StatusOr<std::vector<T>> values = arrays_->Read<T>(name, 1);
  if (!values.ok()) {
    status_ = values.status();
    return {};
  }
  return *std::move(values);
}

template std::vector<double> StateReader::Vector(const std::string&, std::optional<uint64_t>);
template std::vector<float> StateReader::Vector(const std::string&, std::optional<uint64_t>);
template std::vector<int32_t> StateReader::Vector(const std::string&, std::optional<uint64_t>);

std::vector<double> StateReader::Rows(const std::string& name, std::optional<uint64_t> rows, uint64_t cols) {
  if (!ok() || !ShapeIs(name, {rows, cols})) return {};
  absl::StatusOr<std::vector<double>> values = arrays_->Read<double>(name, 2);
  if (!values.ok()) {
    status_ = values.status();
    return {};
  }
  return *std::move(values);
}

}  // namespace driftseal::detector
