#include "engine/serve/http_openapi.h"

#include <set>
#include <vector>

#include "driftseal/v1/options.pb.h"
#include "engine/artifact/text.h"
#include "engine/serve/http_openapi_pages.h"
#include "engine/serve/http_openapi_schema.h"
#include "nlohmann/json.hpp"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using Json = nlohmann::ordered_json;

const char* ScopeName(v1::Scope scope) {
  switch (scope) {
    case v1::SCOPE_SCORE:
      return "score";
    case v1::SCOPE_VERIFY:
      return "verify";
    case v1::SCOPE_ADMIN:
      return "admin";
    default:
      return nullptr;
  }
}

Json ErrorResponses() {
  static constexpr std::pair<const char*, const char*> kErrors[] = {
      {"400", "InvalidRequest"}, {"401", "Unauthenticated"}, {"403", "Forbidden"}, {"404", "NotFound"},
      {"409", "AlreadyThere"},   {"413", "TooLarge"},        {"415", "MediaType"}, {"429", "Overloaded"},
      {"503", "Unavailable"},    {"504", "TooLate"},         {"default", "Error"}};
  Json responses = Json::object();
  for (const auto& [status, name] : kErrors) responses[status] = {{"$ref", Cat("#/components/responses/", name)}};
  return responses;
}

Json Parameter(const OpenApiSchemas& schemas, const google::protobuf::FieldDescriptor* field, bool in_path) {
  Json parameter = {{"name", field->name()}, {"in", in_path ? "path" : "query"}};
  if (const std::string text = schemas.Comment(field); !text.empty()) parameter["description"] = text;
  if (in_path) parameter["required"] = true;
  parameter["schema"] = schemas.Field(field, /*description=*/false);
  return parameter;
}

Json Success(const google::protobuf::MethodDescriptor* method, OpenApiSchemas& schemas) {
  const Json schema = schemas.Reference(method->output_type());
  Json response = {{"headers", {{"X-Request-Id", {{"$ref", "#/components/headers/X-Request-Id"}}}}}};
  if (method->server_streaming()) {
    response["description"] =
        "One JSON object a line, sent as it is ready. A line with the field `error` (schema Error) is the last one: "
        "the "
        "call failed after it had begun.";
    response["content"]["application/x-ndjson"]["schema"] = schema;
  } else {
    response["description"] = "Done.";
    response["content"]["application/json"]["schema"] = schema;
  }
  return response;
}

Json Operation(const HttpRoute& route, const std::string& id, OpenApiSchemas& schemas) {
  const auto* method = route.method;
  const std::string text = schemas.Comment(method);
  Json operation = {{"operationId", id},
                    {"tags", {method->service()->name()}},
                    {"summary", text.substr(0, text.find(". "))},
                    {"description", text}};
  const char* scope = ScopeName(method->options().GetExtension(v1::rule).scope());
  if (scope != nullptr) operation["description"] = Cat(text, "\n\nScope of the token: `", scope, "`.");
  std::set<std::string> captured;
  Json parameters = Json::array();
  for (const HttpRoute::Part& part : route.parts) {
    if (part.field == nullptr) continue;
    captured.insert(part.field->name());
    parameters.push_back(Parameter(schemas, part.field, true));
  }
  const auto* request = method->input_type();
  if (route.http_method == "GET") {
    for (int i = 0; i < request->field_count(); ++i) {
      const auto* field = request->field(i);
      if (captured.contains(field->name()) || field->message_type() != nullptr) continue;
      parameters.push_back(Parameter(schemas, field, false));
    }
  }
  for (const char* header : {"X-Request-Id", "Grpc-Timeout"}) {
    parameters.push_back({{"$ref", Cat("#/components/parameters/", header)}});
  }
  operation["parameters"] = std::move(parameters);
  if (route.http_method == "POST") {
    // A body whose every field stands in the path may be left out.
    operation["requestBody"] = {
        {"required", captured.empty()},
        {"content", {{"application/json", {{"schema", schemas.Reference(request, /*request=*/true)}}}}}};
  }
  operation["responses"] = {{"200", Success(method, schemas)}};
  operation["responses"].update(ErrorResponses());
  return operation;
}

std::string PathOf(const HttpRoute& route) {
  std::string path;
  for (const HttpRoute::Part& part : route.parts) {
    path += part.field == nullptr ? Cat("/", part.text) : Cat("/{", part.field->name(), "}");
  }
  return path;
}

}  // namespace

std::string OpenApi(const HttpRoutes& routes) {
  OpenApiSchemas schemas(ContractDescriptors());
  Json paths = Json::object();
  std::set<std::string> ids;
  for (const HttpRoute& route : routes.all()) {
    std::string id = Cat(route.method->service()->name(), "_", route.method->name());
    for (int n = 2; !ids.insert(id).second; ++n) {
      id = Cat(route.method->service()->name(), "_", route.method->name(), "_", n);
    }
    const std::string verb = route.http_method == "GET" ? "get" : "post";
    paths[PathOf(route)][verb] = Operation(route, id, schemas);
  }
  AddOpenApiPages(paths);
  Json tags = Json::array();
  for (const auto* service : ServicesOfContract()) {
    tags.push_back({{"name", service->name()}, {"description", schemas.Comment(service)}});
  }
  tags.push_back({{"name", "Engine"}, {"description", "The engine itself. These need no token."}});
  Json document = OpenApiFrame();
  document["tags"] = std::move(tags);
  document["paths"] = std::move(paths);
  document["components"] = OpenApiComponents();
  document["components"]["schemas"].update(schemas.Take());
  return document.dump(1) + "\n";
}

}  // namespace driftseal::serve
