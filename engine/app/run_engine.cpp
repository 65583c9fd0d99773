#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "engine/app/daemon.h"
#include "engine/app/serve.h"
#include "engine/artifact/text.h"
#include "engine/serve/engine.h"
#include "engine/serve/grpc_log.h"
#include "engine/serve/http_access.h"
#include "engine/serve/http_server.h"
#include "engine/serve/poller_hold.h"
#include "engine/serve/server.h"
#include "engine/serve/settings.h"

namespace driftseal::app {
namespace {

constexpr int kUsage = 2, kFailure = 3;
constexpr size_t kOtherDescriptors = 256;  // Files that are read, the log, what gRPC keeps for itself.

using serve::Log;
using serve::Options;

Log::Options LogOptions(const Options& options) {
  Log::Options log;
  log.format = options.log_format == "json" ? Log::Format::kJson : Log::Format::kText;
  log.level = options.log_level == "debug"     ? serve::LogLevel::kDebug
              : options.log_level == "warning" ? serve::LogLevel::kWarning
              : options.log_level == "error"   ? serve::LogLevel::kError
                                               : serve::LogLevel::kInfo;
  return log;
}

int CodeOf(const absl::Status& status) { return absl::IsInvalidArgument(status) ? kUsage : kFailure; }

// Everything that listens, in the order in which it is made.
struct Running {
  std::unique_ptr<serve::Engine> engine;
  std::unique_ptr<serve::Server> grpc;
  std::unique_ptr<serve::HttpServer> http;
  std::unique_ptr<serve::PollerHold> hold;
};

serve::HttpParts PartsOf(serve::Engine& engine, serve::Server& server) {
  serve::HttpParts parts;
  parts.channel = server.InProcessChannel();
  parts.connections = &server.connections();
  parts.log = &engine.log;
  parts.metrics = engine.options.http_metrics ? engine.metrics.get() : nullptr;
  parts.may_call = serve::HttpAccess(engine);
  parts.health = [&engine, &server] {
    serve::HttpHealth health;
    health.serving = server.serving();
    health.version = DRIFTSEAL_VERSION;
    for (const auto& detector : engine.detectors->List()) {
      if (detector.active) health.detectors.push_back(artifact::Cat(detector.name, "@", detector.version));
    }
    return health;
  };
  return parts;
}

absl::StatusOr<Running> Start(const Options& options, Log& log) {
  Running running;
  absl::StatusOr<std::unique_ptr<serve::Engine>> engine = serve::Engine::Open(options, &log);
  if (!engine.ok()) return engine.status();
  running.engine = *std::move(engine);
  absl::StatusOr<std::unique_ptr<serve::Server>> grpc = serve::Server::Start(*running.engine);
  if (!grpc.ok()) return grpc.status();
  running.grpc = *std::move(grpc);
  running.hold = serve::PollerHold::Take(running.grpc->InProcessChannel());
  if (options.http_listen.empty()) return running;
  absl::StatusOr<std::unique_ptr<serve::HttpServer>> http =
      serve::HttpServer::Start(options, PartsOf(*running.engine, *running.grpc));
  if (!http.ok()) return http.status();
  running.http = *std::move(http);
  return running;
}

void WarnOfDescriptors(const Options& options, size_t descriptors, Log& log) {
  if (descriptors >= options.max_connections + kOtherDescriptors) return;
  log.Warning("fewer file descriptors than max_connections needs: raise the limit (LimitNOFILE=, ulimit -n)",
              {{"descriptors", descriptors}, {"needed", options.max_connections + kOtherDescriptors}});
}

std::string Where(const std::string& listen, int port) {
  const auto address = serve::SplitAddress(listen);
  return address ? serve::JoinAddress(address->first, static_cast<uint16_t>(port)) : "";
}

void Notify(std::string_view state, Log& log) {
  if (const absl::Status told = NotifyManager(state); !told.ok()) {
    log.Warning("the service manager was not told", {{"error", std::string(told.message())}});
  }
}

void WarnOfExposure(const Options& options, Log& log) {
  if (serve::IsLoopback(options.grpc_listen) && serve::IsLoopback(options.http_listen)) return;
  if (options.tokens_file.empty() && options.tls_client_ca.empty()) {
    log.Warning("anybody who reaches the port may do everything: allow_anonymous is set and nobody is asked");
  } else if (options.tls_cert.empty()) {
    log.Warning("tokens travel in clear text: set tls_cert and tls_key, or put TLS in front");
  }
}

void Reload(Running& running, Log& log) {
  absl::Status status = running.engine->gate->Reload();
  if (status.ok()) status = running.grpc->ReloadCertificates();
  if (status.ok() && running.http != nullptr) status = running.http->ReloadCertificates();
  if (status.ok()) {
    log.Info("read tokens and certificates again");
  } else {
    log.Error("tokens and certificates stay as they were", {{"error", std::string(status.message())}});
  }
}

// Health first, so that callers go elsewhere while everything is still answered; then nothing new; then the rest.
bool Drain(const Options& options, Running& running, Log& log) {
  running.grpc->BeginLameDuck();
  log.Info("draining", {{"lame_duck_ms", options.lame_duck_ms}, {"drain_ms", options.drain_ms}});
  std::this_thread::sleep_for(std::chrono::milliseconds(options.lame_duck_ms));
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(options.drain_ms);
  if (running.http != nullptr) running.http->BeginDrain();
  bool clean = running.grpc->Drain(until);
  if (running.http != nullptr) clean = running.http->Drain(until) && clean;
  running.hold.reset();
  running.http.reset();
  running.grpc.reset();
  running.engine.reset();
  return clean;
}

}  // namespace

int RunEngine(const Options& options) {
  Signals signals;
  Log log(LogOptions(options));
  const serve::GrpcLog grpc_log(&log);
  const size_t descriptors = RaiseDescriptorLimit();
  Announcement announcement(options.port_file);
  log.Info("driftseal " DRIFTSEAL_VERSION " starts", {{"pid", ::getpid()}, {"descriptors", descriptors}});
  WarnOfDescriptors(options, descriptors, log);
  WarnOfExposure(options, log);
  absl::StatusOr<Running> running = Start(options, log);
  if (!running.ok()) {
    log.Error("cannot start", {{"error", std::string(running.status().message())}});
    return CodeOf(running.status());
  }
  const int grpc = running->grpc->port(), http = running->http == nullptr ? 0 : running->http->port();
  if (const absl::Status written = announcement.Write(artifact::Cat("{\"grpc\": ", grpc, ", \"http\": ", http, "}\n"));
      !written.ok()) {
    log.Error("cannot start", {{"error", "port_file: " + std::string(written.message())}});
    return kFailure;
  }
  log.Info("listening", {{"grpc", Where(options.grpc_listen, grpc)},
                         {"http", Where(options.http_listen, http)},
                         {"tls", options.tls_cert.empty()        ? "no"
                                 : options.tls_client_ca.empty() ? "yes"
                                                                 : "mutual"},
                         {"tokens", !options.tokens_file.empty()}});
  Notify("READY=1\nSTATUS=serving", log);
  while (signals.Wait() == SIGHUP) Reload(*running, log);
  signals.EndAtOnce();
  Notify("STOPPING=1\nSTATUS=draining", log);
  const bool clean = Drain(options, *running, log);
  if (clean) {
    log.Info("ended: everything accepted was answered");
  } else {
    log.Warning("ended: what was not answered in drain_ms was cancelled");
  }
  return clean ? 0 : kFailure;
}

}  // namespace driftseal::app
