#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_OPENAPI_PAGES_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_OPENAPI_PAGES_H_

#include "nlohmann/json.hpp"

// What the OpenAPI file says about things that no .proto file knows.
namespace driftseal::serve {

/// Version, title, security.
nlohmann::ordered_json OpenApiFrame();
/// Security schemes, headers, parameters, answers of errors, the schema of errors.
nlohmann::ordered_json OpenApiComponents();
/// /health, /healthz, /readyz, /metrics, /openapi.json.
void AddOpenApiPages(nlohmann::ordered_json& paths);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_OPENAPI_PAGES_H_
