#ifndef DRIFTSEAL_ENGINE_SERVE_GATE_H_
#define DRIFTSEAL_ENGINE_SERVE_GATE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/serve/log.h"
#include "engine/serve/metrics.h"
#include "engine/serve/options.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"

// Where every call begins and ends: who calls, whether they may, how often, and what is noted about it.
namespace driftseal::serve {

/// Metadata by which the HTTP gateway says for whom it calls. Believed of the in-process channel alone.
inline constexpr char kForwardedPeer[] = "x-driftseal-peer";                ///< "ipv4:10.0.0.1:4711", as gRPC has it.
inline constexpr char kForwardedCertificate[] = "x-driftseal-certificate";  ///< Common name of a verified certificate.
inline constexpr char kRequestId[] = "x-request-id";  ///< Taken from the caller where it is sane, and sent back.

struct Client;  ///< A token, a certificate's name or an address: who is counted and limited as one.

/// A method of driftseal.v1 and what its (driftseal.v1.rule) says.
struct Method {
  std::string path;  ///< "/driftseal.v1.Scoring/Score"
  int scope = 0;     ///< v1::Scope
  size_t index = 0;  ///< Among all methods, for metrics.
  bool client_streams = false;
};

/// What must be told that the engine is about to end: streams without an end of their own.
class DrainListener {
 public:
  /// Called once, on the thread that drains; must not block. Take no more work, answer what was accepted, then finish
  /// with UNAVAILABLE (DrainingStatus()).
  virtual void OnDrain() = 0;

 protected:
  ~DrainListener() = default;
};

class Gate;

/// One call from its beginning to its end, a member of its reactor. Counts and logs when it is destroyed, with the
/// status of End (CANCELLED where there was none).
class Call {
 public:
  /// Asks the gate. `context` outlives the object. See status().
  Call(Gate& gate, const Method& method, grpc::CallbackServerContext* context);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// OK: go on. Otherwise finish with ToGrpc(status()): UNAUTHENTICATED, PERMISSION_DENIED, RESOURCE_EXHAUSTED
  /// (Overload, RetryInfo), UNAVAILABLE while draining.
  const absl::Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }
  /// Whose share of the queues it takes: the token's or certificate's name, else the address without its port.
  const std::string& client() const;
  /// The same without an address, for metrics: "anonymous" for whoever has no name.
  const std::string& label() const;
  /// Of the caller, or made here.
  const std::string& request_id();
  /// For each further message of a stream: takes one request of the client's rate; zero: taken, otherwise nothing was
  /// taken and it is how long to wait.
  std::chrono::nanoseconds TakeAnother();
  /// Rows that it scored, for metrics.
  void AddRows(size_t rows) { rows_ += rows; }
  /// As which it ends; returns `status` in gRPC's terms, with details (status.h), to call Finish with. Call it before
  /// Finish, where trailing metadata can still be set.
  grpc::Status End(const absl::Status& status);

 private:
  friend class Gate;
  Gate& gate_;
  const Method& method_;
  grpc::CallbackServerContext* context_;
  std::shared_ptr<Client> client_;
  absl::Status status_;
  grpc::StatusCode code_ = grpc::StatusCode::CANCELLED;
  std::string message_, request_id_;
  std::chrono::steady_clock::time_point began_;
  size_t rows_ = 0;
  bool counted_ = false;
};

class Gate {
 public:
  /// Reads the tokens file. InvalidArgument where anybody could call from outside and allow_anonymous does not say so;
  /// FailedPrecondition for a method of driftseal.v1 without a rule. `metrics` and `log` outlive the gate.
  static absl::StatusOr<std::unique_ptr<Gate>> Open(const Options& options, Metrics* metrics, Log* log);
  ~Gate();

  /// A method of the contract by its service and name ("Scoring", "Score"); dies where there is none.
  const Method& MethodOf(std::string_view service, std::string_view name) const;
  /// Whether a call that shows these would be let in to a method of this scope, for a look ahead: nothing is counted.
  /// Either may be empty.
  absl::Status MayCall(std::string_view authorization, std::string_view certificate, int scope) const;
  /// Reads the tokens file again. On an error everything is as before.
  absl::Status Reload();

  /// Calls from now on are refused as UNAVAILABLE; listeners are told.
  void BeginDrain();
  bool draining() const;
  /// Waits until no admitted call is left; false where the time came first.
  bool WaitUntilIdle(std::chrono::steady_clock::time_point until);
  /// Told at once where it is draining already. A listener must go (Ignore) before it is destroyed; Ignore waits for an
  /// OnDrain that is running.
  void Listen(DrainListener* listener);
  void Ignore(DrainListener* listener);

  /// For the metrics: what each client did.
  void Collect(std::vector<prometheus::MetricFamily>& families) const;

 private:
  friend class Call;
  struct State;
  explicit Gate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// UNAVAILABLE: "the engine is shutting down".
absl::Status DrainingStatus();

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_GATE_H_
