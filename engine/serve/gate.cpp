#include "engine/serve/gate.h"

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "driftseal/v1/detectors.pb.h"
#include "driftseal/v1/integrity.pb.h"
#include "driftseal/v1/options.pb.h"
#include "driftseal/v1/predictions.pb.h"
#include "driftseal/v1/scoring.pb.h"
#include "engine/artifact/text.h"
#include "engine/serve/clients.h"
#include "engine/serve/credentials.h"
#include "engine/serve/request_id.h"
#include "engine/serve/settings.h"
#include "engine/serve/status.h"
#include "engine/serve/tokens.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;

// Remembered clients: enough for a fleet of callers, and a few MiB.
constexpr size_t kClients = 16384;

std::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

const char* ScopeName(int scope) {
  return scope == v1::SCOPE_SCORE ? "score" : scope == v1::SCOPE_VERIFY ? "verify" : "admin";
}

absl::Status CheckAnonymous(const Options& options) {
  if (!options.tokens_file.empty() || !options.tls_client_ca.empty() || options.allow_anonymous) {
    return absl::OkStatus();
  }
  for (const auto& [name, listen] :
       {std::pair{"grpc_listen", options.grpc_listen}, {"http_listen", options.http_listen}}) {
    if (IsLoopback(listen)) continue;
    return absl::InvalidArgumentError(
        Cat(name, " ", artifact::Quoted(listen), " can be reached from outside and nobody is asked who they are: ",
            "set tokens_file or tls_client_ca, listen on a loopback address, or set allow_anonymous"));
  }
  return absl::OkStatus();
}

absl::Status CheckScope(const Caller& caller, int scope) {
  if (caller.scope >= scope) return absl::OkStatus();
  return absl::PermissionDeniedError(
      Cat("needs the scope ", ScopeName(scope), "; ", caller.name, " has ", ScopeName(caller.scope)));
}

absl::StatusOr<std::vector<Method>> MethodsOfContract() {
  std::vector<Method> methods;
  for (const google::protobuf::Descriptor* message :
       {v1::ScoreRequest::descriptor(), v1::FitRequest::descriptor(), v1::BackfillRequest::descriptor(),
        v1::SanitizeRequest::descriptor()}) {
    for (int s = 0; s < message->file()->service_count(); ++s) {
      const google::protobuf::ServiceDescriptor* service = message->file()->service(s);
      for (int m = 0; m < service->method_count(); ++m) {
        const google::protobuf::MethodDescriptor* method = service->method(m);
        if (!method->options().HasExtension(v1::rule)) {
          return absl::FailedPreconditionError(Cat(method->full_name(), " has no (driftseal.v1.rule)"));
        }
        methods.push_back({Cat("/", service->full_name(), "/", method->name()),
                           method->options().GetExtension(v1::rule).scope(), methods.size(),
                           method->client_streaming()});
      }
    }
  }
  return methods;
}

}  // namespace

absl::Status DrainingStatus() {
  return WithRetry(absl::UnavailableError("the engine is shutting down"), std::chrono::seconds(1));
}

struct Gate::State {
  State(const Options& options, Metrics* counts, Log* to)
      : clients({options.client_requests_per_second, std::max(options.client_burst, 1.0)}, kClients),
        most_calls(options.max_client_calls),
        metrics(*counts),
        log(*to) {}

  Clients clients;
  const size_t most_calls;
  Metrics& metrics;
  Log& log;
  std::vector<Method> methods;
  Credentials credentials;

  std::atomic<bool> draining{false};
  std::atomic<size_t> admitted{0};
  std::atomic<std::chrono::steady_clock::rep> next_refusal{0};  // When the log tells of another one.
  std::mutex idle_mutex;
  std::condition_variable idle;
  // Held while listeners are told; one that is told may make others go.
  std::recursive_mutex listeners_mutex;
  std::set<DrainListener*> listeners;

  // An overload is one event and not as many as there are calls that it refuses, which the metrics count.
  bool Tells(grpc::StatusCode code) {
    if (code != grpc::StatusCode::RESOURCE_EXHAUSTED) return true;
    constexpr std::chrono::milliseconds kBetween(100);
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    auto next = next_refusal.load(std::memory_order_relaxed);
    return now.count() >= next && next_refusal.compare_exchange_strong(next, (now + kBetween).count());
  }

  void Leave() {
    if (admitted.fetch_sub(1) != 1 || !draining) return;
    const std::lock_guard lock(idle_mutex);
    idle.notify_all();
  }
};

Call::Call(Gate& gate, const Method& method, grpc::CallbackServerContext* context)
    : gate_(gate), method_(method), context_(context), began_(std::chrono::steady_clock::now()) {
  Gate::State& state = *gate_.state_;
  state.metrics.CallBegan();
  const auto& metadata = context_->client_metadata();
  if (const auto id = metadata.find(kRequestId); id != metadata.end() && IsSaneRequestId(View(id->second))) {
    request_id_ = View(id->second);
  }
  // First in, then a look at the sign: whoever drains does it the other way round, so that no call slips through.
  state.admitted.fetch_add(1);
  counted_ = true;
  if (state.draining) {
    status_ = DrainingStatus();
    return;
  }
  absl::StatusOr<Caller> caller = state.credentials.Identify(*context_);
  if (!caller.ok()) {
    status_ = caller.status();
    return;
  }
  client_ = caller->name.empty() ? state.clients.At(caller->address) : state.clients.Named(caller->name);
  client_->open.fetch_add(1, std::memory_order_relaxed);
  if (status_ = CheckScope(*caller, method_.scope); !status_.ok()) return;
  // gRPC's own limit of streams holds for a connection, and only once its client has acknowledged it.
  if (const size_t open = client_->open.load(std::memory_order_relaxed); open > state.most_calls) {
    client_->refused.fetch_add(1, std::memory_order_relaxed);
    status_ = WithOverload(absl::ResourceExhaustedError(Cat(state.most_calls, " calls of this client are open")),
                           v1::Overload::RESOURCE_CLIENT_CALLS, open - 1, state.most_calls, std::chrono::seconds(1));
    return;
  }
  const RateLimit& limit = state.clients.limit();
  const std::chrono::nanoseconds wait = client_->Take(limit, began_);
  if (wait > std::chrono::nanoseconds(0)) {
    client_->refused.fetch_add(1, std::memory_order_relaxed);
    status_ = WithOverload(absl::ResourceExhaustedError(Cat("more than ", limit.per_second, " requests a second")),
                           v1::Overload::RESOURCE_CLIENT_RATE, static_cast<uint64_t>(limit.burst),
                           static_cast<uint64_t>(limit.burst), wait);
    return;
  }
  client_->requests.fetch_add(1, std::memory_order_relaxed);
}

Call::~Call() {
  Gate::State& state = *gate_.state_;
  const auto duration = std::chrono::steady_clock::now() - began_;
  state.metrics.CountCall(method_.index, code_, duration, rows_);
  if (client_ != nullptr) {
    client_->open.fetch_sub(1, std::memory_order_relaxed);
    if (rows_ > 0) client_->rows.fetch_add(rows_, std::memory_order_relaxed);
  }
  if ((code_ != grpc::StatusCode::OK && state.Tells(code_)) || state.log.Enabled(LogLevel::kDebug)) {
    const std::string peer = PeerOf(*context_);
    const std::string& name = label();
    state.log.Call({request_id(), name, peer, method_.path, CodeName(code_), message_, duration});
  }
  if (counted_) state.Leave();
}

const std::string& Call::client() const {
  static const std::string nobody;
  return client_ == nullptr ? nobody : client_->key;
}

const std::string& Call::label() const {
  static const std::string nobody;
  return client_ == nullptr ? nobody : client_->label;
}

const std::string& Call::request_id() {
  if (request_id_.empty()) request_id_ = MakeRequestId();
  return request_id_;
}

std::chrono::nanoseconds Call::TakeAnother() {
  const auto wait = client_->Take(gate_.state_->clients.limit(), std::chrono::steady_clock::now());
  if (wait > std::chrono::nanoseconds(0)) client_->refused.fetch_add(1, std::memory_order_relaxed);
  return wait;
}

grpc::Status Call::End(const absl::Status& status) {
  grpc::Status told = ToGrpc(status);
  code_ = told.error_code();
  message_ = told.error_message();
  context_->AddTrailingMetadata(kRequestId, request_id());
  return told;
}

absl::StatusOr<std::unique_ptr<Gate>> Gate::Open(const Options& options, Metrics* metrics, Log* log) {
  if (const absl::Status anonymous = CheckAnonymous(options); !anonymous.ok()) return anonymous;
  auto state = std::make_unique<State>(options, metrics, log);
  absl::StatusOr<std::vector<Method>> methods = MethodsOfContract();
  if (!methods.ok()) return methods.status();
  state->methods = *std::move(methods);
  const absl::Status opened = state->credentials.Open(options.tokens_file, !options.tls_client_ca.empty());
  if (!opened.ok()) return opened;
  std::vector<std::string> paths;
  for (const Method& method : state->methods) paths.push_back(method.path);
  metrics->SetMethods(std::move(paths));
  return std::unique_ptr<Gate>(new Gate(std::move(state)));
}

Gate::Gate(std::unique_ptr<State> state) : state_(std::move(state)) {}
Gate::~Gate() = default;

void Gate::Collect(std::vector<prometheus::MetricFamily>& families) const { state_->clients.Collect(families); }

const Method& Gate::MethodOf(std::string_view service, std::string_view name) const {
  const std::string path = Cat("/driftseal.v1.", service, "/", name);
  for (const Method& method : state_->methods) {
    if (method.path == path) return method;
  }
  std::fprintf(stderr, "no such method: %s\n", path.c_str());
  std::abort();
}

absl::Status Gate::MayCall(std::string_view authorization, std::string_view certificate, int scope) const {
  Shown shown;
  if (!authorization.empty()) shown.authorization = authorization;
  shown.common_name = certificate;
  const absl::StatusOr<Caller> caller = state_->credentials.Identify(shown);
  return caller.ok() ? CheckScope(*caller, scope) : caller.status();
}

absl::Status Gate::Reload() { return state_->credentials.Reload(); }

void Gate::BeginDrain() {
  if (state_->draining.exchange(true)) return;
  const std::lock_guard lock(state_->listeners_mutex);
  while (!state_->listeners.empty()) {
    DrainListener* listener = *state_->listeners.begin();
    state_->listeners.erase(state_->listeners.begin());
    listener->OnDrain();
  }
}

bool Gate::draining() const { return state_->draining; }

bool Gate::WaitUntilIdle(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(state_->idle_mutex);
  return state_->idle.wait_until(lock, until, [this] { return state_->admitted == 0; });
}

void Gate::Listen(DrainListener* listener) {
  const std::lock_guard lock(state_->listeners_mutex);
  if (state_->draining) {
    listener->OnDrain();
  } else {
    state_->listeners.insert(listener);
  }
}

void Gate::Ignore(DrainListener* listener) {
  const std::lock_guard lock(state_->listeners_mutex);
  state_->listeners.erase(listener);
}

}  // namespace driftseal::serve
