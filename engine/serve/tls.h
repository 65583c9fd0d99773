#ifndef DRIFTSEAL_ENGINE_SERVE_TLS_H_
#define DRIFTSEAL_ENGINE_SERVE_TLS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/serve/options.h"

// TLS and mutual TLS from PEM files.
namespace driftseal::serve {

/// How long files that were replaced may take to be noticed.
inline constexpr unsigned kTlsRefreshSeconds = 5;

/// Contents of the files, checked.
struct TlsFiles {
  std::string cert, key, client_ca;  ///< PEM; client_ca empty: nobody is asked for a certificate.
};

/// Whether the settings ask for TLS. InvalidArgument for one file without its fellow.
absl::StatusOr<bool> WantsTls(const Options& options);
/// Errors name the setting and the file: one that is no PEM, a key that is not the certificate's, a certificate that
/// has expired.
absl::StatusOr<TlsFiles> ReadTlsFiles(const Options& options);

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_TLS_H_
