#include "engine/serve/stall_guard.h"

#include <linux/tcp.h>  // bytes_sent; <netinet/tcp.h> ends before it.
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace driftseal::serve {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kShareOfTime = 50;  // A look may take one part in so many.

// Nothing: no open socket.
std::optional<uint64_t> CookieOf(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return std::nullopt;
  return cookie;
}

struct Traffic {
  uint64_t sent = 0, received = 0;
};

std::optional<Traffic> TrafficOf(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return Traffic{info.tcpi_bytes_sent, info.tcpi_bytes_received};
}

struct Connection {
  int fd = -1;
  uint64_t cookie = 0;
  Traffic last;         // When something was last sent.
  uint64_t silent = 0;  // Received since then.
};

}  // namespace

struct StallGuard::State {
  State(const Options& given, Log* to) : options(given), log(*to), thread([this] { Run(); }) {}

  void Run();
  void Look();
  void Close(Connection& connection);

  const Options options;
  Log& log;
  std::atomic<uint64_t> closed{0};
  mutable std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
  std::vector<Connection> connections;
  std::thread thread;  // Last: it uses all of them.
};

void StallGuard::State::Run() {
  std::unique_lock lock(mutex);
  Clock::duration pause = options.interval;
  while (!stopping) {
    // Nothing to look at: sleeps until there is.
    if (connections.empty()) {
      wake.wait(lock, [&] { return stopping || !connections.empty(); });
    }
    wake.wait_for(lock, pause, [&] { return stopping; });
    const Clock::time_point begin = Clock::now();
    Look();
    pause = std::max<Clock::duration>(options.interval, kShareOfTime * (Clock::now() - begin));
  }
}

void StallGuard::State::Look() {
  uint64_t all = 0;
  std::erase_if(connections, [&](Connection& connection) {
    const std::optional<Traffic> now =
        CookieOf(connection.fd) == connection.cookie ? TrafficOf(connection.fd) : std::nullopt;
    if (!now.has_value()) return true;
    if (now->sent != connection.last.sent) connection.last = *now;
    connection.silent = now->received - connection.last.received;
    if (connection.silent > options.connection_bytes) {
      Close(connection);
      return true;
    }
    all += connection.silent;
    return false;
  });
  while (all > options.all_bytes) {
    const auto worst = std::max_element(connections.begin(), connections.end(),
                                        [](const Connection& a, const Connection& b) { return a.silent < b.silent; });
    all -= worst->silent;
    Close(*worst);
    connections.erase(worst);
  }
}

// Shut down and not closed: the descriptor is gRPC's. Between the cookie and this it could be another connection's only
// if gRPC closed this one and accepted another within that microsecond.
void StallGuard::State::Close(Connection& connection) {
  if (CookieOf(connection.fd) != connection.cookie) return;
  ++closed;  // First: whoever sees the connection gone finds it counted.
  ::shutdown(connection.fd, SHUT_RDWR);
  log.Warning("closed a connection that sends without end", {{"unanswered_bytes", connection.silent}});
}

StallGuard::StallGuard(const Options& options, Log* log) : state_(std::make_unique<State>(options, log)) {}

StallGuard::~StallGuard() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_one();
  state_->thread.join();
}

void StallGuard::Watch(int fd) {
  const std::optional<uint64_t> cookie = CookieOf(fd);
  const std::optional<Traffic> now = TrafficOf(fd);
  if (!cookie.has_value() || !now.has_value()) return;
  bool first = false;
  {
    const std::lock_guard lock(state_->mutex);
    first = state_->connections.empty();
    state_->connections.push_back({fd, *cookie, *now, 0});
  }
  if (first) state_->wake.notify_one();
}

size_t StallGuard::watched() const {
  const std::lock_guard lock(state_->mutex);
  return state_->connections.size();
}

uint64_t StallGuard::closed() const { return state_->closed; }

}  // namespace driftseal::serve
