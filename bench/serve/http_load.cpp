#include "bench/serve/http_load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "bench/serve/fixture.h"
#include "bench/serve/timing.h"

namespace driftseal::bench {
namespace {

constexpr size_t kRequests = 256;

std::vector<std::string> Requests(size_t rows, uint64_t seed) {
  const std::vector<float> values = MakeRows(rows * kRequests, seed);
  std::vector<std::string> requests;
  for (size_t i = 0; i < kRequests; ++i) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(i * rows * kFeatures);
    const std::vector<float> own(first, first + static_cast<std::ptrdiff_t>(rows * kFeatures));
    const std::string body = nlohmann::json{{"rows", {{"cols", kFeatures}, {"values", own}}}}.dump();
    requests.push_back(
        "POST /v1/score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  return requests;
}

// One connection: writes a request, reads its answer.
class Connection {
 public:
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }

  bool Open(int port) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    return fd_ >= 0 && connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
           setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0;
  }

  // Requests are smaller than a socket's buffer: one write takes them whole.
  bool Send(const std::string& request) {
    sent_ = Clock::now();
    answer_.clear();
    return write(fd_, request.data(), request.size()) == static_cast<ssize_t>(request.size());
  }

  // Reads what is there. False: the connection is broken.
  bool Receive() {
    char buffer[16384];
    const ssize_t got = read(fd_, buffer, sizeof buffer);
    if (got <= 0) return false;
    answer_.append(buffer, static_cast<size_t>(got));
    return true;
  }

  bool Complete() const {
    const size_t end = answer_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::string_view head(answer_.data(), end);
    for (const std::string_view name : {"\r\nContent-Length: ", "\r\ncontent-length: "}) {
      const size_t at = head.find(name);
      if (at == std::string_view::npos) continue;
      return answer_.size() >= end + 4 + std::strtoull(answer_.c_str() + at + name.size(), nullptr, 10);
    }
    return false;
  }

  bool Good() const {
    return answer_.compare(0, 13, "HTTP/1.1 200 ") == 0 && answer_.find("ombined") != std::string::npos;
  }
  std::string StatusLine() const { return answer_.substr(0, answer_.find('\r')); }
  int fd() const { return fd_; }
  Clock::time_point sent() const { return sent_; }

 private:
  int fd_ = -1;
  Clock::time_point sent_;
  std::string answer_;
};

}  // namespace

absl::StatusOr<nlohmann::json> RunHttp(const HttpLoad& load) {
  const std::vector<std::string> requests = Requests(load.rows, load.seed);
  std::vector<Connection> connections(load.connections);
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  size_t turn = 0;
  for (Connection& connection : connections) {
    if (!connection.Open(load.port))
      return absl::UnavailableError("no HTTP server at port " + std::to_string(load.port));
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(poll, EPOLL_CTL_ADD, connection.fd(), &event);
    if (!connection.Send(requests[turn++ % kRequests])) return absl::UnavailableError("HTTP: cannot send");
  }
  const auto seconds = [](double s) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
  };
  const Clock::time_point begin = Clock::now() + seconds(load.warm_up_seconds), end = begin + seconds(load.seconds);
  std::unique_ptr<Window> window;
  Tally tally;
  std::vector<epoll_event> events(load.connections);
  for (Clock::time_point now = Clock::now(); now < end;) {
    const int ready = epoll_wait(poll, events.data(), static_cast<int>(events.size()), 1000);
    now = Clock::now();
    if (window == nullptr && now >= begin) window = std::make_unique<Window>(load.process);
    for (int i = 0; i < ready; ++i) {
      auto* connection = static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr);
      if (!connection->Receive()) return absl::UnavailableError("HTTP: the server closed a connection");
      if (!connection->Complete()) continue;
      if (window != nullptr && connection->sent() >= begin) {
        if (connection->Good()) {
          tally.answered.Add(Clock::now() - connection->sent());
        } else {
          tally.Fail(connection->StatusLine());
        }
      }
      if (!connection->Send(requests[turn++ % kRequests])) return absl::UnavailableError("HTTP: cannot send");
    }
  }
  if (window == nullptr) return absl::UnavailableError("HTTP: no answer");
  window->Close();
  close(poll);
  return window->Report(tally, load.rows);
}

}  // namespace driftseal::bench
