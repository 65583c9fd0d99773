#ifndef DRIFTSEAL_ENGINE_SERVE_STALL_GUARD_H_
#define DRIFTSEAL_ENGINE_SERVE_STALL_GUARD_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/serve/log.h"

// Headers without end: gRPC 1.51 limits each frame of a header block and not their number (HEADERS, then CONTINUATION
// without END_HEADERS; the flaw of CVE-2024-27316), keeps all of them, and its memory quota does not see them.
namespace driftseal::serve {

/// Closes connections that send much and to which nothing is ever sent. HTTP/2 makes a server send something every few
/// megabytes whatever comes in, window updates at least, unless it is in the middle of a header block. Looks at the
/// kernel's counters alone and costs calls nothing. Safe to share between threads.
class StallGuard {
 public:
  struct Options {
    uint64_t connection_bytes = 16u << 20;   ///< Received since something was last sent: of one connection, ...
    uint64_t all_bytes = 256u << 20;         ///< ... of all together; the worst are closed then.
    std::chrono::milliseconds interval{50};  ///< Between two looks; longer where a look takes more than 2 % of it.
  };

  /// `log` outlives it.
  StallGuard(const Options& options, Log* log);
  ~StallGuard();
  StallGuard(const StallGuard&) = delete;
  StallGuard& operator=(const StallGuard&) = delete;

  /// Watches a TCP connection until it is closed, by whomever: a descriptor is that connection as long as the kernel
  /// gives it the same cookie.
  void Watch(int fd);
  size_t watched() const;   ///< Some may be closed by now.
  uint64_t closed() const;  ///< By this, since the start.

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_STALL_GUARD_H_
