#ifndef DRIFTSEAL_ENGINE_SERVE_TLS_KEEPER_H_
#define DRIFTSEAL_ENGINE_SERVE_TLS_KEEPER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/serve/log.h"
#include "engine/serve/options.h"
#include "engine/serve/tls.h"
#include "grpcpp/security/server_credentials.h"

namespace driftseal::serve {

/// Stands between the certificate files and gRPC, whose own watcher takes over whatever lies there: a key that is not
/// the certificate's, half a file, the moment between two renames. It is shown copies in memory, which are renewed when
/// the files fit together and are otherwise left as they were.
class TlsKeeper {
 public:
  /// Reads and checks the files (errors as ReadTlsFiles) and looks at them again every kTlsRefreshSeconds. Only names
  /// lie in options.state_dir, under tls/; the key itself never leaves memory. Null where the settings ask for no TLS.
  static absl::StatusOr<std::unique_ptr<TlsKeeper>> Open(const Options& options, Log* log);
  ~TlsKeeper();
  TlsKeeper(const TlsKeeper&) = delete;
  TlsKeeper& operator=(const TlsKeeper&) = delete;

  /// For a server; connections have the newest files that fitted, a second after they were read. The keeper must
  /// outlive the server.
  std::shared_ptr<grpc::ServerCredentials> Credentials() const;
  /// Reads the files now. On an error everything stays as it was.
  absl::Status Refresh();

 private:
  struct State;
  explicit TlsKeeper(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_TLS_KEEPER_H_
