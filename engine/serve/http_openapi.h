#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_OPENAPI_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_OPENAPI_H_

#include <string>
#include <string_view>

#include "engine/serve/http_routes.h"

namespace driftseal::serve {

/// OpenAPI 3.1 of the routes: paths from the rules, schemas from the messages by the proto3 JSON mapping, descriptions
/// from the comments of the .proto files. Indented JSON, the same bytes each time.
std::string OpenApi(const HttpRoutes& routes);

/// google.protobuf.FileDescriptorSet of the contract with its comments, which descriptors at run time lack. Made by
/// protoc when the program is built.
std::string_view ContractDescriptors();

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_OPENAPI_H_
