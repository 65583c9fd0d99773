#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_ACCESS_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_ACCESS_H_

#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "engine/serve/engine.h"

namespace driftseal::serve {

/// HttpParts::may_call of this engine, which outlives it. Who is refused there makes no call of the server, which would
/// count and log it, so that is done here: driftseal_http_refused_total, and the log's "call". Once an engine.
std::function<absl::Status(std::string_view authorization, std::string_view certificate, int scope)> HttpAccess(
    Engine& engine);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_ACCESS_H_
