#include <algorithm>
#include <map>

#include "engine/artifact/text.h"
#include "engine/serve/http_json.h"
#include "engine/serve/http_routes.h"
#include "nlohmann/json.hpp"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using artifact::Quoted;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::json;

constexpr size_t kQueryParameters = 1000;

absl::StatusOr<std::string> QueryDecode(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return PercentDecode(spaced);
}

const FieldDescriptor* QueryField(const Message& request, const std::string& name) {
  const FieldDescriptor* field = request.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr) field = request.GetDescriptor()->FindFieldByCamelcaseName(name);
  return field != nullptr && field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ? field : nullptr;
}

Json QueryValue(const FieldDescriptor& field, const std::string& text) {
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL && (text == "true" || text == "false")) return text == "true";
  return text;  // The mapping takes numbers and names of enums as strings.
}

// "a=1&b=2" as the JSON object of the same meaning.
absl::StatusOr<Json> QueryJson(std::string_view query, const HttpRoutes::Captures& captures, const Message& request) {
  Json json = Json::object();
  size_t count = 0;
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (pair.empty()) continue;
    if (++count > kQueryParameters) return absl::InvalidArgumentError("query: too many parameters");
    const size_t equals = std::min(pair.find('='), pair.size());
    const absl::StatusOr<std::string> name = QueryDecode(pair.substr(0, equals));
    if (!name.ok()) return absl::InvalidArgumentError(Cat("query: a name ", name.status().message()));
    const absl::StatusOr<std::string> value = QueryDecode(pair.substr(std::min(equals + 1, pair.size())));
    if (!value.ok()) return absl::InvalidArgumentError(Cat(Quoted(*name), ": ", value.status().message()));
    const FieldDescriptor* field = QueryField(request, *name);
    if (field == nullptr) return absl::InvalidArgumentError(Cat("unknown query parameter ", Quoted(*name)));
    Json& place = json[field->name()];
    if (field->is_repeated()) {
      place.push_back(QueryValue(*field, *value));
      continue;
    }
    const bool captured =
        std::any_of(captures.begin(), captures.end(), [&](const auto& capture) { return capture.first == field; });
    if (captured || !place.is_null()) return absl::InvalidArgumentError(Cat(field->name(), ": is there twice"));
    place = QueryValue(*field, *value);
  }
  return json;
}

}  // namespace

absl::Status FillRequest(const HttpRoute& route, const HttpRoutes::Captures& captures, std::string_view query,
                         std::string_view body, Message* request) {
  if (route.http_method == "GET") {
    if (!body.empty()) return absl::InvalidArgumentError("body: a GET has none");
    const absl::StatusOr<Json> json = QueryJson(query, captures, *request);
    if (!json.ok()) return json.status();
    if (!json->empty()) {
      if (absl::Status status = FromJson(json->dump(), request); !status.ok()) return status;
    }
  } else {
    if (!query.empty()) {
      const std::string_view name = query.substr(0, query.find_first_of("=&"));
      return absl::InvalidArgumentError(Cat("unknown query parameter ", Quoted(name), ": fields go into the body"));
    }
    if (absl::Status status = FromJson(body, request); !status.ok()) return status;
  }
  for (const auto& [field, value] : captures) {
    std::string scratch;
    const std::string& given = request->GetReflection()->GetStringReference(*request, field, &scratch);
    if (!given.empty() && given != value) {
      return absl::InvalidArgumentError(Cat(field->name(), ": differs from the one in the path"));
    }
    request->GetReflection()->SetString(request, field, value);
  }
  return absl::OkStatus();
}

}  // namespace driftseal::serve
