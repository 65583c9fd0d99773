#include "engine/serve/http_openapi_pages.h"

#include "engine/artifact/text.h"

namespace driftseal::serve {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kAbout[] =
    "Scores rows and verifies models. The same methods as the gRPC services of package driftseal.v1; JSON by the "
    "proto3 "
    "mapping: 64-bit integers are strings, NaN and infinite numbers the strings \"NaN\", \"Infinity\" and "
    "\"-Infinity\", "
    "bytes base64. A field or query parameter that a request does not know is refused.";

constexpr char kErrorSchema[] = R"({
  "type": "object",
  "description": "Why a request failed.",
  "required": ["error"],
  "properties": {
    "error": {
      "type": "object",
      "required": ["code", "status", "message", "request_id", "details"],
      "properties": {
        "code": {"type": "integer", "description": "The HTTP status."},
        "status": {"type": "string", "description": "Name of the google.rpc.Code: NOT_FOUND, RESOURCE_EXHAUSTED, ..."},
        "message": {"type": "string", "description": "Names what is wrong, and what was expected."},
        "request_id": {"type": "string", "description": "As in the header X-Request-Id and the log."},
        "details": {
          "type": "array",
          "description": "driftseal.v1.Overload: what there was too much of. google.rpc.RetryInfo: when to try again.",
          "items": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}},
                    "additionalProperties": true}
        }
      }
    }
  }
})";

constexpr char kHealthSchema[] = R"({
  "type": "object",
  "description": "How the engine is.",
  "required": ["status", "version", "detectors", "uptime_seconds"],
  "properties": {
    "status": {"type": "string", "enum": ["ok", "draining"]},
    "version": {"type": "string"},
    "detectors": {"type": "array", "description": "Active ones, name@version.", "items": {"type": "string"}},
    "uptime_seconds": {"type": "number"}
  }
})";

constexpr char kParameters[] = R"({
  "X-Request-Id": {
    "name": "X-Request-Id", "in": "header",
    "description": "By which the request is found in the log: at most 128 printable characters, or one is made up.",
    "schema": {"type": "string", "maxLength": 128}
  },
  "Grpc-Timeout": {
    "name": "Grpc-Timeout", "in": "header",
    "description": "After which nobody waits for the answer: 1 to 8 digits and H, M, S, m (ms), u (us) or n (ns).",
    "schema": {"type": "string", "pattern": "^[0-9]{1,8}[HMSmun]$"}
  }
})";

Json ErrorResponse(const char* description, bool retry) {
  Json response = {{"description", description},
                   {"headers", {{"X-Request-Id", {{"$ref", "#/components/headers/X-Request-Id"}}}}},
                   {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
  if (retry) response["headers"]["Retry-After"] = {{"$ref", "#/components/headers/Retry-After"}};
  return response;
}

Json Page(const char* id, const char* summary, Json responses) {
  return {{"get",
           {{"operationId", id},
            {"tags", {"Engine"}},
            {"summary", summary},
            {"security", Json::array()},
            {"responses", std::move(responses)}}}};
}

Json Answer(const char* description, const char* type, Json schema) {
  return {{"description", description}, {"content", {{type, {{"schema", std::move(schema)}}}}}};
}

}  // namespace

Json OpenApiFrame() {
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "DriftSeal engine"},
            {"version", "v1"},
            {"description", kAbout},
            {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
          {"servers", {{{"url", "/"}}}},
          // An engine without tokens asks for none.
          {"security", {{{"bearer", Json::array()}}, {{"certificate", Json::array()}}, Json::object()}}};
}

Json OpenApiComponents() {
  Json components = Json::object();
  components["securitySchemes"] = {
      {"bearer", {{"type", "http"}, {"scheme", "bearer"}, {"description", "A token of the engine's tokens file."}}},
      {"certificate", {{"type", "mutualTLS"}, {"description", "A certificate of the engine's client CA."}}}};
  components["headers"] = {
      {"X-Request-Id", {{"description", "As in the request, or made up."}, {"schema", {{"type", "string"}}}}},
      {"Retry-After",
       {{"description", "Seconds after which to try again."}, {"schema", {{"type", "integer"}, {"minimum", 1}}}}}};
  components["parameters"] = Json::parse(kParameters);
  components["responses"] = {
      {"InvalidRequest", ErrorResponse("A field is wrong, or the engine's state does not allow it.", false)},
      {"Unauthenticated", ErrorResponse("No valid token or certificate.", false)},
      {"Forbidden", ErrorResponse("The token lacks the scope.", false)},
      {"NotFound", ErrorResponse("No such path, detector, file or operation.", false)},
      {"AlreadyThere", ErrorResponse("It is there already.", false)},
      {"TooLarge", ErrorResponse("The body is too long.", false)},
      {"MediaType", ErrorResponse("The body is no application/json, or compressed.", false)},
      {"Overloaded", ErrorResponse("Too much at once; details say of what.", true)},
      {"Unavailable", ErrorResponse("The engine is starting or shutting down.", true)},
      {"TooLate", ErrorResponse("The time that Grpc-Timeout gave has passed.", false)},
      {"Error", ErrorResponse("Any other error.", false)}};
  components["schemas"] = {{"Error", Json::parse(kErrorSchema)}, {"Health", Json::parse(kHealthSchema)}};
  return components;
}

void AddOpenApiPages(Json& paths) {
  const Json text = {{"type", "string"}}, health = {{"$ref", "#/components/schemas/Health"}};
  paths["/health"] = Page("health", "How the engine is.",
                          {{"200", Answer("It serves.", "application/json", health)},
                           {"503", Answer("It is shutting down.", "application/json", health)}});
  paths["/healthz"] = Page("healthz", "Whether the process lives.", {{"200", Answer("It does.", "text/plain", text)}});
  paths["/readyz"] = Page("readyz", "Whether to send requests here.",
                          {{"200", Answer("Yes.", "text/plain", text)}, {"503", Answer("No.", "text/plain", text)}});
  paths["/metrics"] = Page("metrics", "Prometheus metrics; 404 where they are turned off.",
                           {{"200", Answer("Text format, version 0.0.4.", "text/plain", text)}});
  paths["/openapi.json"] =
      Page("openapi", "This file.", {{"200", Answer("It.", "application/json", {{"type", "object"}})}});
}

}  // namespace driftseal::serve
