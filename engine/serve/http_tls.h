#ifndef DRIFTSEAL_ENGINE_SERVE_HTTP_TLS_H_
#define DRIFTSEAL_ENGINE_SERVE_HTTP_TLS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "boost/asio/ssl/context.hpp"
#include "engine/serve/options.h"

namespace driftseal::serve {

/// TLS 1.2 and up with the PEM files of the options; with tls_client_ca only for clients with a certificate that it
/// signed. Null where the options have no certificate. Errors name the setting and the file.
absl::StatusOr<std::shared_ptr<boost::asio::ssl::context>> MakeHttpTls(const Options& options);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_HTTP_TLS_H_
