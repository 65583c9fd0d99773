#include "engine/serve/server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "engine/artifact/text.h"
#include "engine/serve/credentials.h"
#include "engine/serve/detectors_service.h"
#include "engine/serve/integrity_service.h"
#include "engine/serve/metrics.h"
#include "engine/serve/predictions_service.h"
#include "engine/serve/reflection_service.h"
#include "engine/serve/scoring_service.h"
#include "engine/serve/stall_guard.h"
#include "engine/serve/tls_keeper.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/support/client_interceptor.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using grpc::experimental::ExternalConnectionAcceptor;

// Bytes of messages that are on their way, of all calls; gRPC slows connections down, then closes them.
size_t MessageMemory(const Options& options) {
  constexpr size_t kLeast = 256u << 20, kMessages = 16;
  return std::max(kLeast, kMessages * options.max_message_bytes);
}

int Milliseconds(uint64_t value) {
  return static_cast<int>(std::min<uint64_t>(value, std::numeric_limits<int>::max()));
}

void SetLimits(const Options& options, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(options.max_streams_per_connection));
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, Milliseconds(options.handshake_timeout_ms));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(options.idle_timeout_s * 1000));
  constexpr int kMaxMetadataBytes = 16 << 10;
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  // Callers that are gone without a word are found by pings; callers may ping as well, to find out about us.
  constexpr int kPingMs = 60'000, kPingTimeoutMs = 20'000, kLeastCallerPingMs = 5'000;
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kPingMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kLeastCallerPingMs);
  // Fixed windows. gRPC 1.51 otherwise measures the path with pings while data comes in and moves its windows; a caller
  // that is slowed down then now and then finds itself outside of one and loses its stream (PROTOCOL_ERROR).
  constexpr int kWindowBytes = 1 << 20;
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kWindowBytes);
  // A few compressed kilobytes can be gigabytes, and gRPC 1.51 limits them before it unpacks them.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  grpc::ResourceQuota quota("driftseal");
  quota.Resize(MessageMemory(options));
  builder.SetResourceQuota(quota);
}

// Says of each call that it comes from within (credentials.h).
class InProcessMark final : public grpc::experimental::Interceptor {
 public:
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->emplace(kInProcessKey, InProcessKey());
    }
    methods->Proceed();
  }
};

class InProcessMarks final : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo*) override {
    return new InProcessMark;  // gRPC's to delete.
  }
};

}  // namespace

struct Server::State {
  explicit State(Engine& with)
      : engine(with),
        limit(std::make_shared<ConnectionLimit>(with.options.max_connections)),
        guard(std::make_shared<StallGuard>(StallGuard::Options(), &with.log)),
        scoring(with),
        detectors(with),
        integrity(with),
        predictions(with) {}

  Engine& engine;
  const std::shared_ptr<ConnectionLimit> limit;
  const std::shared_ptr<StallGuard> guard;
  std::unique_ptr<TlsKeeper> tls;  ///< Null: plain text.
  ScoringService scoring;
  DetectorsService detectors;
  IntegrityService integrity;
  PredictionsService predictions;
  ReflectionService reflection;
  std::unique_ptr<ExternalConnectionAcceptor> hand_over;
  std::unique_ptr<Acceptor> acceptor;  // Goes before what it hands connections to.
  std::unique_ptr<grpc::Server> server;
  std::atomic<bool> serving{false};
  std::once_flag lame, drain, shut_down;

  std::array<grpc::Service*, 4> contract() { return {&scoring, &detectors, &integrity, &predictions}; }
  absl::Status Listen();
  absl::Status Start();
  void SetServing(bool yes);
  void ShutDown(std::chrono::system_clock::time_point until);
  void AddMetrics() const;
};

absl::Status Server::State::Listen() {
  const std::string& address = engine.options.grpc_listen;
  if (address.empty()) return absl::OkStatus();
  auto listening = Acceptor::Listen(address, limit.get(), &engine.log, [this](int listener, int fd) {
    guard->Watch(fd);
    ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.listener_fd = listener;
    connection.fd = fd;
    hand_over->HandleNewConnection(&connection);
  });
  if (!listening.ok()) {
    return absl::Status(listening.status().code(), Cat("grpc_listen: ", listening.status().message()));
  }
  acceptor = *std::move(listening);
  return absl::OkStatus();
}

absl::Status Server::State::Start() {
  absl::StatusOr<std::unique_ptr<TlsKeeper>> keeper = TlsKeeper::Open(engine.options, &engine.log);
  if (!keeper.ok()) return keeper.status();
  tls = *std::move(keeper);
  // Where Abseil was built with its assertions on, as Debian does it, each lock that gRPC takes goes into one graph of
  // all threads, behind one lock, to look for cycles. That is gRPC's own testing, not ours, and costs 3 to 5 % of a
  // call.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  SetLimits(engine.options, builder);
  for (grpc::Service* service : contract()) builder.RegisterService(service);
  reflection.Register(builder);
  using Kind = grpc::ServerBuilder::experimental_type::ExternalConnectionType;
  hand_over = builder.experimental().AddExternalConnectionAcceptor(
      Kind::FROM_FD, tls == nullptr ? grpc::InsecureServerCredentials() : tls->Credentials());
  server = builder.BuildAndStart();
  if (server == nullptr) return absl::InternalError("gRPC does not start (its own log says why)");
  SetServing(true);
  if (acceptor != nullptr) acceptor->Start();
  return absl::OkStatus();
}

void Server::State::SetServing(bool yes) {
  serving = yes;
  grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
  health->SetServingStatus(yes);  // All at once, "" among them; names come into being by being set.
  for (const char* name : {"Scoring", "Detectors", "Integrity", "Predictions"}) {
    health->SetServingStatus(Cat("driftseal.v1.", name), yes);
  }
}

void Server::State::ShutDown(std::chrono::system_clock::time_point until) {
  std::call_once(shut_down, [&] { server->Shutdown(until); });
}

void Server::State::AddMetrics() const {
  engine.metrics->Add([limit = limit, guard = guard](std::vector<prometheus::MetricFamily>& families) {
    using prometheus::MetricType;
    families.push_back(Family("driftseal_open_connections", "Connections, gRPC and HTTP.", MetricType::Gauge,
                              {GaugeValue(static_cast<double>(limit->open()))}));
    families.push_back(Family("driftseal_connections_limit", "Connections that may be open.", MetricType::Gauge,
                              {GaugeValue(static_cast<double>(limit->limit()))}));
    families.push_back(Family("driftseal_connections_refused_total", "Connections closed because there were too many.",
                              MetricType::Counter, {CounterValue(static_cast<double>(limit->refused()))}));
    families.push_back(Family("driftseal_connections_stalled_total",
                              "Connections closed because they sent headers without end.", MetricType::Counter,
                              {CounterValue(static_cast<double>(guard->closed()))}));
  });
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Engine& engine) {
  auto state = std::make_unique<State>(engine);
  // Before gRPC starts: an address that is taken must cost nothing.
  if (absl::Status listening = state->Listen(); !listening.ok()) return listening;
  if (absl::Status started = state->Start(); !started.ok()) return started;
  if (state->limit->limit() < engine.options.max_connections) {
    engine.log.Warning("max_connections is more than the process may have descriptors for",
                       {{"max_connections", engine.options.max_connections}, {"limit", state->limit->limit()}});
  }
  state->AddMetrics();
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}

Server::~Server() { Drain(std::chrono::steady_clock::now()); }

int Server::port() const { return state_->acceptor == nullptr ? 0 : state_->acceptor->port(); }

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> marks;
  marks.push_back(std::make_unique<InProcessMarks>());
  return state_->server->experimental().InProcessChannelWithInterceptors(arguments, std::move(marks));
}

ConnectionLimit& Server::connections() { return *state_->limit; }

bool Server::serving() const { return state_->serving; }

absl::Status Server::ReloadCertificates() { return state_->tls == nullptr ? absl::OkStatus() : state_->tls->Refresh(); }

void Server::BeginLameDuck() {
  std::call_once(state_->lame, [this] { state_->SetServing(false); });
}

void Server::BeginDrain() {
  BeginLameDuck();
  std::call_once(state_->drain, [this] {
    if (state_->acceptor != nullptr) state_->acceptor->Stop();
    state_->engine.gate->BeginDrain();
  });
}

bool Server::Drain(std::chrono::steady_clock::time_point until) {
  BeginDrain();
  const bool answered = state_->engine.gate->WaitUntilIdle(until);
  // Calls of the health and reflection services have no end of their own; and the last answers are being sent.
  constexpr std::chrono::milliseconds kLastWords(100);
  state_->ShutDown(std::chrono::system_clock::now() + (answered ? kLastWords : std::chrono::milliseconds(0)));
  return answered;
}

}  // namespace driftseal::serve
