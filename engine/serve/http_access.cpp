#include "engine/serve/http_access.h"

#include <string>

#include "prometheus/counter.h"

namespace driftseal::serve {

std::function<absl::Status(std::string_view, std::string_view, int)> HttpAccess(Engine& engine) {
  auto& refused = prometheus::BuildCounter()
                      .Name("driftseal_http_refused_total")
                      .Help("HTTP requests that were refused for their token before their body was read, by status.")
                      .Register(engine.metrics->registry());
  prometheus::Counter& unknown = refused.Add({{"code", "UNAUTHENTICATED"}});
  prometheus::Counter& forbidden = refused.Add({{"code", "PERMISSION_DENIED"}});
  return [&engine, &unknown, &forbidden](std::string_view authorization, std::string_view certificate, int scope) {
    absl::Status may = engine.gate->MayCall(authorization, certificate, scope);
    if (may.ok()) return may;
    const bool forbids = absl::IsPermissionDenied(may);
    (forbids ? forbidden : unknown).Increment();
    const std::string error(may.message());
    CallLog call;
    call.method = "HTTP";
    call.code = forbids ? "PERMISSION_DENIED" : "UNAUTHENTICATED";
    call.error = error;
    engine.log.Call(call);
    return may;
  };
}

}  // namespace driftseal::serve
