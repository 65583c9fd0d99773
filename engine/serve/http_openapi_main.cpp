// Prints the OpenAPI file of the engine: docs/openapi.json.
#include <cstdio>

#include "engine/serve/http_openapi.h"

int main() {
  const auto routes = driftseal::serve::HttpRoutes::OfContract();
  if (!routes.ok()) return std::fprintf(stderr, "%s\n", routes.status().ToString().c_str()), 1;
  std::fputs(driftseal::serve::OpenApi(*routes).c_str(), stdout);
  return 0;
}
