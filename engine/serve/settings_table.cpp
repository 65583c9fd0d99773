#include <array>

#include "engine/artifact/text.h"
#include "engine/serve/settings.h"

namespace driftseal::serve {
namespace {

constexpr double kYear = 365 * 86400.0;

std::string IsAddress(const std::string& text) {
  return text.empty() || SplitAddress(text) ? "" : "host:port, [address]:port for IPv6, or nothing";
}

template <const auto& kNames>
std::string IsOneOf(const std::string& text) {
  std::string expected;
  for (const std::string_view name : kNames) {
    if (name == text) return "";
    expected += artifact::Cat(expected.empty() ? "" : ", ", name);
  }
  return "one of " + expected;
}
constexpr std::array<std::string_view, 2> kFormats = {"text", "json"};
constexpr std::array<std::string_view, 3> kReplays = {"auto", "on", "off"};
constexpr std::array<std::string_view, 10> kMeasures = {
    "all",          "user-namespace", "network-namespace", "pid-namespace", "ipc-namespace",
    "capabilities", "no-new-privs",   "landlock",          "seccomp",       "rlimits"};
constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warning", "error"};

std::string AreMeasures(const std::string& text) {
  for (const std::string_view name : artifact::SplitNonEmpty(text, ',')) {
    const std::string wrong = IsOneOf<kMeasures>(std::string(name));
    if (!wrong.empty()) return wrong + ", with commas between them";
  }
  return "";
}

Setting Text(std::string_view group, std::string_view name, std::string Options::*field, std::string_view what,
             std::string (*check)(const std::string&) = nullptr) {
  return {group, name, "", what, field, 0, 0, check};
}
Setting Number(std::string_view group, std::string_view name, std::string_view unit, Setting::Field field, double least,
               double most, std::string_view what) {
  return {group, name, unit, what, field, least, most, nullptr};
}
Setting Flag(std::string_view group, std::string_view name, bool Options::*field, std::string_view what) {
  return {group, name, "", what, field, 0, 0, nullptr};
}

const std::vector<Setting>& Table() {
  using O = Options;
  static const std::vector<Setting> table = {
      Text("Listening", "grpc_listen", &O::grpc_listen, "Address of gRPC; port 0 takes a free one; empty: no gRPC.",
           IsAddress),
      Text("Listening", "http_listen", &O::http_listen,
           "Address of HTTP/JSON, `/metrics`, `/healthz` and `/readyz`; port 0 takes a free one; empty: no HTTP.",
           IsAddress),
      Text("Listening", "port_file", &O::port_file,
           "File that appears once the engine listens: `{\"grpc\": 50051, \"http\": 8000}`; it is gone when it ended."),

      Text("Files", "artifact_root", &O::artifact_root,
           "Folder of the models; no path that comes over the network leaves it."),
      Text("Files", "model_dir", &O::model_dir,
           "Folder of a detector made by `driftseal fit`, which is served where it is there."),
      Text("Files", "state_dir", &O::state_dir,
           "Folder that the engine writes to: detectors it fitted or loaded, stored verdicts, `monitor.json`."),
      Text("Files", "default_detector", &O::default_detector,
           "Name of the detector that requests without one mean; empty: the one of `model_dir`."),

      Text("Access", "tls_cert", &O::tls_cert, "Certificate chain, PEM; with `tls_key`, for gRPC and HTTP."),
      Text("Access", "tls_key", &O::tls_key, "Private key, PEM."),
      Text("Access", "tls_client_ca", &O::tls_client_ca,
           "CA certificates, PEM: every client must show a certificate that one of them signed (mutual TLS)."),
      Text("Access", "tokens_file", &O::tokens_file,
           "Who may call, made by `driftseal token`; without one nobody is asked, on a loopback address alone."),
      Flag("Access", "allow_anonymous", &O::allow_anonymous,
           "Serve without tokens on other addresses too: whoever reaches the port may do everything."),
      Flag("Access", "http_metrics", &O::http_metrics, "`GET /metrics` answers, without asking for a token."),
      Number("Access", "client_requests_per_second", "requests/s", &O::client_requests_per_second, 0, 1e9,
             "Requests of each client, and messages of its streams; 0: no limit."),
      Number("Access", "client_burst", "requests", &O::client_burst, 1, 1e9,
             "Requests that a client may send at once within that limit."),

      Text("Scoring", "backend", &O::backend,
           "What computes scores: `auto`, `simd`, `reference`, one instruction set (`avx3`, `avx2`, ...) or `cuda`."),
      Number("Scoring", "crossover_rows", "rows", &O::crossover_rows, 0, 1e9,
             "With `auto` and a GPU: batches of so many rows go there; 0: measured."),
      Number("Scoring", "score_threads", "threads", &O::score_threads, 0, 1024, "Threads that score; 0: all cores."),
      Number("Scoring", "batch_rows", "rows", &O::batch_rows, 1, 1 << 20, "A batch leaves when it has so many rows."),
      Number("Scoring", "batch_wait_us", "µs", &O::batch_wait_us, 0, 1e6,
             "A batch leaves when its oldest row has waited so long; at once where nothing else is being scored."),
      Number("Scoring", "queue_rows", "rows", &O::queue_rows, 1, 1e9,
             "More rows never wait: what comes then is refused with RESOURCE_EXHAUSTED."),
      Number("Scoring", "queue_delay_ms", "ms", &O::queue_delay_ms, 1, 60000,
             "Nor more than are scored in this time, at the rate measured of late."),
      Number("Scoring", "alpha", "", &O::alpha, 1e-6, 0.5,
             "Review at p ≤ alpha, the share of clean models that is flagged, where a request does not say."),
      Number("Scoring", "quarantine_alpha", "", &O::quarantine_alpha, 1e-6, 0.5,
             "Quarantine at p ≤ this; at most alpha."),

      Number("Verifying", "verify_threads", "threads", &O::verify_threads, 0, 1024,
             "Threads that read and hash artifacts; 0: all cores."),
      Number("Verifying", "verify_queue", "artifacts", &O::verify_queue, 1, 1e6,
             "Artifacts that wait, of all callers; a stream is read no further then, a single call is refused."),

      Text("Replay", "replay", &O::replay,
           "Whether models are run where their detector was fitted with canary sets: `auto` (where this machine can), "
           "`on` (the engine does not start where it cannot) or `off`.",
           IsOneOf<kReplays>),
      Number("Replay", "replay_workers", "processes", &O::replay_workers, 0, 1024,
             "Sandboxed processes that run models at once; 0: one a core."),
      Number("Replay", "replay_timeout_ms", "ms", &O::replay_timeout_ms, 100, 86400000,
             "Wall clock of one model; one that takes longer is ended."),
      Number("Replay", "replay_memory_bytes", "bytes", &O::replay_memory_bytes, 64 << 20, 1ull << 38,
             "Address space that one model may add to its process."),
      Flag("Replay", "replay_isolate", &O::replay_isolate,
           "Each model runs in a process of its own; `false` is faster, for models that are trusted: one can then "
           "reach the next."),
      Text("Replay", "replay_allow_missing", &O::replay_allow_missing,
           "Measures of the sandbox that this machine may lack, with commas between them (`landlock`, "
           "`network-namespace`, ...), or `all`.",
           AreMeasures),

      Number("Limits", "max_message_bytes", "bytes", &O::max_message_bytes, 1024, 1 << 30,
             "A larger message or HTTP body is refused."),
      Number("Limits", "max_streams_per_connection", "calls", &O::max_streams_per_connection, 1, 1e6,
             "Calls at once on one connection; more wait in the client."),
      Number("Limits", "max_client_calls", "calls", &O::max_client_calls, 1, 1e6,
             "Calls of one client at once, on all its connections; more are refused with RESOURCE_EXHAUSTED."),
      Number("Limits", "max_connections", "connections", &O::max_connections, 1, 1e6,
             "Connections at once, gRPC and HTTP together; more are closed. Needs as many file descriptors."),
      Number("Limits", "http_threads", "threads", &O::http_threads, 1, 256, "Threads that read and write HTTP."),
      Number("Limits", "handshake_timeout_ms", "ms", &O::handshake_timeout_ms, 100, 600000,
             "A connection that has not said what it wants by then is closed."),
      Number("Limits", "idle_timeout_s", "s", &O::idle_timeout_s, 1, kYear,
             "A connection without a call for so long is closed."),

      Number("Ending", "drain_ms", "ms", &O::drain_ms, 0, 3600000,
             "How long accepted work may take after SIGTERM; what is not done by then is cancelled."),
      Number("Ending", "lame_duck_ms", "ms", &O::lame_duck_ms, 0, 3600000,
             "Before that, health says NOT_SERVING and everything is still accepted: the time a load balancer needs."),

      Text("Logs", "log_format", &O::log_format, "`text` for people, `json` for programs; to standard error.",
           IsOneOf<kFormats>),
      Text("Logs", "log_level", &O::log_level, "`debug` (each call), `info`, `warning` or `error`.", IsOneOf<kLevels>),
  };
  return table;
}

}  // namespace

std::span<const Setting> Settings() { return Table(); }

}  // namespace driftseal::serve
