#include "engine/serve/http_server.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/post.hpp"
#include "engine/artifact/text.h"
#include "engine/serve/http_connection.h"
#include "engine/serve/http_gateway.h"
#include "engine/serve/http_tls.h"

namespace driftseal::serve {
namespace {

namespace asio = boost::asio;

/// One thread and the connections that live on it.
struct Worker {
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  std::thread thread;
};

}  // namespace

struct HttpServer::State {
  Options options;
  Log* log = nullptr;
  std::unique_ptr<HttpGateway> gateway;
  HttpShared shared;
  std::vector<std::unique_ptr<Worker>> workers;
  std::unique_ptr<Acceptor> acceptor;

  std::mutex mutex;  ///< Of everything below.
  std::condition_variable none_left;
  std::shared_ptr<asio::ssl::context> tls;
  struct Entry {
    Worker* worker = nullptr;
    std::weak_ptr<HttpConnection> connection;
  };
  std::map<uint64_t, Entry> connections;
  uint64_t accepted = 0;
  bool stopped = false;

  void Accept(int listener, int fd);
  void ForEach(void (HttpConnection::*function)());
  void BeginDrain();
  bool Drain(std::chrono::steady_clock::time_point until);
};

// On the acceptor's thread.
void HttpServer::State::Accept(int, int fd) {
  std::unique_lock lock(mutex);
  Worker& worker = *workers[accepted % workers.size()];
  asio::ip::tcp::socket socket(worker.io);
  boost::system::error_code error;
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  const bool v6 = getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 && address.ss_family == AF_INET6;
  socket.assign(v6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), fd, error);
  if (error) {
    ::close(fd);
    return log->Warning("http: a connection could not be taken over", {{"error", error.message()}});
  }
  const uint64_t id = accepted++;
  const auto connection = MakeHttpConnection(std::move(socket), tls, &shared, [this, id] {
    const std::lock_guard guard(mutex);
    connections.erase(id);
    if (connections.empty()) none_left.notify_all();
  });
  connections.emplace(id, Entry{&worker, connection});
  lock.unlock();
  asio::post(worker.io, [connection] { connection->Begin(); });
}

void HttpServer::State::ForEach(void (HttpConnection::*function)()) {
  const std::lock_guard lock(mutex);
  for (const auto& [id, entry] : connections) {
    asio::post(entry.worker->io, [function, weak = entry.connection] {
      if (const auto connection = weak.lock()) (connection.get()->*function)();
    });
  }
}

void HttpServer::State::BeginDrain() {
  shared.draining = true;
  if (acceptor != nullptr) acceptor->Stop();
  ForEach(&HttpConnection::CloseIfIdle);
}

bool HttpServer::State::Drain(std::chrono::steady_clock::time_point until) {
  BeginDrain();
  std::unique_lock lock(mutex);
  if (std::exchange(stopped, true)) return connections.empty();
  const bool clean = none_left.wait_until(lock, until, [this] { return connections.empty(); });
  if (!clean) {
    lock.unlock();
    ForEach(&HttpConnection::Abort);
    lock.lock();
    // Calls that were cancelled end at once, whatever the server does.
    none_left.wait(lock, [this] { return connections.empty(); });
  }
  lock.unlock();
  gateway->Join();
  for (const auto& worker : workers) worker->work.reset();
  for (const auto& worker : workers) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  return clean;
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const Options& options, HttpParts parts) {
  auto state = std::make_unique<State>();
  state->options = options;
  state->log = parts.log;
  HttpLimits& limits = state->shared.limits;
  limits.body_bytes = options.max_message_bytes;
  limits.all_body_bytes = std::max(limits.all_body_bytes, 4 * options.max_message_bytes);
  limits.begin = std::chrono::milliseconds(options.handshake_timeout_ms);
  limits.idle = std::chrono::seconds(options.idle_timeout_s);
  absl::StatusOr<std::shared_ptr<asio::ssl::context>> tls = MakeHttpTls(options);
  if (!tls.ok()) return tls.status();
  state->tls = *std::move(tls);
  ConnectionLimit* connections = parts.connections;
  absl::StatusOr<std::unique_ptr<HttpGateway>> gateway = HttpGateway::Make(std::move(parts));
  if (!gateway.ok()) return gateway.status();
  state->gateway = *std::move(gateway);
  state->shared.handler = state->gateway.get();
  absl::StatusOr<std::unique_ptr<Acceptor>> acceptor =
      Acceptor::Listen(options.http_listen, connections, state->log,
                       [raw = state.get()](int listener, int fd) { raw->Accept(listener, fd); });
  if (!acceptor.ok()) {
    return absl::Status(acceptor.status().code(), artifact::Cat("http_listen: ", acceptor.status().message()));
  }
  state->acceptor = *std::move(acceptor);
  for (size_t i = 0; i < std::max<size_t>(1, options.http_threads); ++i) {
    state->workers.push_back(std::make_unique<Worker>());
    Worker& worker = *state->workers.back();
    worker.thread = std::thread([&worker] { worker.io.run(); });
  }
  state->acceptor->Start();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

HttpServer::~HttpServer() { state_->Drain(std::chrono::steady_clock::now()); }

int HttpServer::port() const { return state_->acceptor->port(); }

absl::Status HttpServer::ReloadCertificates() {
  absl::StatusOr<std::shared_ptr<asio::ssl::context>> tls = MakeHttpTls(state_->options);
  if (!tls.ok()) return tls.status();
  const std::lock_guard lock(state_->mutex);
  state_->tls = *std::move(tls);
  return absl::OkStatus();
}

void HttpServer::BeginDrain() { state_->BeginDrain(); }

bool HttpServer::Drain(std::chrono::steady_clock::time_point until) { return state_->Drain(until); }

}  // namespace driftseal::serve
