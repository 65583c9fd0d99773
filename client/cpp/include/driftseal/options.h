#ifndef DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_OPTIONS_H_
#define DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace driftseal {

/// When a call is tried again: on UNAVAILABLE, and on RESOURCE_EXHAUSTED with the engine's advice when to (one without,
/// such as a message too large, would only fail again). Calls that are not idempotent (fit, load, roll back, backfill,
/// sanitize) are tried again only where the engine refused them before any work.
///
/// The wait before attempt n+1 is drawn from [0, min(max_backoff, initial_backoff · multiplier^(n-1))] ("full jitter"),
/// on top of the engine's advice where there is one. A wait that would pass the call's deadline is not begun: the call
/// ends with the error it has.
struct RetryPolicy {
  int max_attempts = 6;  ///< 1: never.
  std::chrono::milliseconds initial_backoff{50}, max_backoff{5000};
  double multiplier = 2;
  /// The budget of all calls of a client, as gRPC's own retry throttling (gRFC A6): each failure that could be retried
  /// takes a token, each success gives `budget_ratio` back, and nothing is tried again while half or less are left, so
  /// that retries do not multiply the load on an engine that is going down. 0 tokens: no budget.
  double budget_tokens = 100, budget_ratio = 0.1;
};

/// PEM texts or files; of each pair the text goes first.
struct TlsOptions {
  bool enabled = false;
  std::string ca, ca_file;  ///< Who signed the engine's certificate; both empty: the system's authorities.
  std::string certificate, certificate_file, key, key_file;  ///< For mutual TLS.
  std::string server_name;  ///< In the engine's certificate, where it is not the host of the address.
};

struct ClientOptions {
  std::string address;  ///< "host:port", "unix:/path", "dns:///host:port"
  TlsOptions tls;
  std::string token, token_file;  ///< Bearer token, or the file whose first line it is.
  /// Tokens travel over TLS, and unencrypted only to this machine; true: anywhere.
  bool allow_plaintext_token = false;
  std::chrono::milliseconds connect_timeout{10000};  ///< For a first connection to be made.
  std::chrono::milliseconds timeout{60000};          ///< Of each call that names none, all its attempts together.
  RetryPolicy retry;
  std::chrono::milliseconds keepalive{30000};  ///< While a call is open: finds a dead connection; 0: never.
  size_t max_receive_bytes = size_t{64} << 20;
  /// A Score of more rows goes in pieces of so many, all scored by one version of the detector.
  size_t piece_rows = 4096, piece_bytes = size_t{1} << 20;
};

/// Stops calls from another thread. Copies stop together.
class Canceller {
 public:
  Canceller();
  void Cancel();
  bool cancelled() const;
  struct State;
  const std::shared_ptr<State>& state() const { return state_; }  ///< For the library.

 private:
  std::shared_ptr<State> state_;
};

struct CallOptions {
  std::chrono::milliseconds timeout{0};  ///< All attempts together; 0: the client's. A negative one: no limit.
  std::string request_id;                ///< Empty: a random one. At most 128 printable ASCII characters.
  const Canceller* canceller = nullptr;  ///< Need not outlive the call.
};

struct StreamOptions {
  size_t max_in_flight = 64;  ///< Requests without an answer that was taken; beyond that Send waits.
  /// A stream whose connection is lost reconnects and sends what is unanswered again, waiting between attempts as the
  /// retry policy says; it ends when nothing has come back for this long since.
  std::chrono::milliseconds give_up_after{120000};
};

struct VerifyStreamOptions : StreamOptions {
  VerifyStreamOptions() { max_in_flight = 256; }
  /// Name under which the engine stores verdicts, at most 128 bytes: who asks again under the same run and id, after a
  /// crash of either side, gets the stored one. Empty: nothing is stored, and what was unanswered is verified again.
  std::string run;
};

}  // namespace driftseal

#endif  // DRIFTSEAL_CLIENT_CPP_INCLUDE_DRIFTSEAL_OPTIONS_H_
