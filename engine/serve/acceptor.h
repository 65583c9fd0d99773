#ifndef DRIFTSEAL_ENGINE_SERVE_ACCEPTOR_H_
#define DRIFTSEAL_ENGINE_SERVE_ACCEPTOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/serve/log.h"

// Connections are accepted here and not by gRPC: gRPC 1.51 knows no limit on them, and its listener stops for good when
// the process runs out of descriptors.
namespace driftseal::serve {

/// How many connections are open, of everything that listens. Nobody says when one is closed: a descriptor is that
/// connection as long as it is a socket with the same inode. Safe to share between threads.
class ConnectionLimit {
 public:
  /// `limit` connections at once; where the process may not have so many descriptors, as many as it may.
  explicit ConnectionLimit(size_t limit);
  ~ConnectionLimit();

  /// Whether one more may stay. False: the caller closes it. Counts it until the descriptor is closed, by whomever.
  bool Admit(int fd);
  size_t limit() const;
  size_t open() const;       ///< Now.
  uint64_t refused() const;  ///< Since the start.
  void CountRefused();       ///< One more that was closed before it got here.

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Accepts connections on one address with a thread of its own.
class Acceptor {
 public:
  /// Listens. "host:port"; a name may stand for several addresses, all are listened on. Port 0 takes a free one.
  /// `accepted` gets each connection that was admitted, non-blocking and with TCP_NODELAY, and owns it; on the
  /// acceptor's thread. Errors name the address.
  static absl::StatusOr<std::unique_ptr<Acceptor>> Listen(const std::string& address, ConnectionLimit* limit, Log* log,
                                                          std::function<void(int listener, int fd)> accepted);
  ~Acceptor();  ///< As Stop.

  int port() const;
  void Start();  ///< From now on connections are accepted.
  void Stop();   ///< Listens no more; returns when `accepted` runs no more.

 private:
  struct State;
  explicit Acceptor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_ACCEPTOR_H_
