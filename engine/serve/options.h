#ifndef DRIFTSEAL_ENGINE_SERVE_OPTIONS_H_
#define DRIFTSEAL_ENGINE_SERVE_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace driftseal::serve {

/// Every setting of the engine, with its default. settings.cpp gives each its name, unit and sentence, once, for flags,
/// the TOML file and the documentation.
struct Options {
  // Where it listens. "host:port"; port 0 takes a free one; empty: not at all.
  std::string grpc_listen = "127.0.0.1:50051";
  std::string http_listen = "127.0.0.1:8000";
  std::string port_file;  ///< Written once both listen: {"grpc": 50051, "http": 8000}.

  // Files.
  std::string artifact_root = ".";               ///< Paths that come over the network stay beneath it.
  std::string model_dir = "driftseal_detector";  ///< A detector of `driftseal fit`, the default one if it is there.
  std::string state_dir = "driftseal_engine";    ///< Detectors stored by the engine, stored verdicts, monitor.json.
  std::string default_detector;                  ///< Name that requests without one mean; empty: the one of model_dir.

  // Who may call.
  std::string tls_cert, tls_key;  ///< PEM files; both or none.
  std::string tls_client_ca;      ///< PEM file: clients must show a certificate that it signed.
  std::string tokens_file;        ///< See tokens.h. Without one nobody is asked, which needs a loopback address or ...
  bool allow_anonymous = false;   ///< ... this.
  bool http_metrics = true;       ///< GET /metrics answers, without a token.
  bool replay_isolate = true;     ///< Models are run in a fresh process each.
  double client_requests_per_second = 0;  ///< Of each client; 0: no limit.
  double client_burst = 100;              ///< Requests that a client may send at once within that limit.

  // Scoring.
  std::string backend = "auto";
  size_t crossover_rows = 0;
  size_t score_threads = 0;  ///< 0: all cores.
  size_t batch_rows = 1024;
  uint64_t batch_wait_us = 500;
  size_t queue_rows = 65536;
  uint64_t queue_delay_ms = 10;
  double alpha = 0.05, quarantine_alpha = 0.01;

  // Verifying.
  size_t verify_threads = 0;   ///< 0: all cores.
  size_t verify_queue = 1024;  ///< Artifacts that wait, of all callers.

  // Replay.
  std::string replay = "auto";              ///< "on", "off", or "auto": where this machine can.
  size_t replay_workers = 0;                ///< 0: all cores.
  uint64_t replay_timeout_ms = 60000;       ///< Of one model.
  size_t replay_memory_bytes = 4ull << 30;  ///< Address space that a model may add.
  std::string replay_allow_missing;         ///< Measures of the sandbox that may lack, with commas; or "all".

  // Limits.
  size_t max_message_bytes = 16u << 20;
  size_t max_streams_per_connection = 1024;  ///< Calls at once on one connection.
  size_t max_client_calls = 8192;            ///< Calls of one client at once, on all its connections.
  size_t max_connections = 16384;            ///< gRPC and HTTP together.
  size_t http_threads = 2;
  uint64_t handshake_timeout_ms = 5000;  ///< A connection that has not said what it wants by then is closed.
  uint64_t idle_timeout_s = 300;         ///< And one without a call for this long.

  // Ending.
  uint64_t drain_ms = 10000;  ///< After SIGTERM accepted work is answered; what is not done by then is cancelled.
  uint64_t lame_duck_ms = 0;  ///< Before that, health says NOT_SERVING and everything is still accepted.

  // Logs.
  std::string log_format = "text";  ///< "text" or "json".
  std::string log_level = "info";   ///< "debug" logs every request.
};

}  // namespace driftseal::serve

#endif  // DRIFTSEAL_ENGINE_SERVE_OPTIONS_H_
