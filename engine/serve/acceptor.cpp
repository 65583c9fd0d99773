#include "engine/serve/acceptor.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <thread>
#include <utility>

#include "engine/artifact/posix.h"
#include "engine/artifact/text.h"

namespace driftseal::serve {
namespace {

using artifact::Cat;
using artifact::Quoted;
using artifact::UniqueFd;

constexpr int kBacklog = 4096;
constexpr int kAcceptsInARow = 64;  // Of one listener, before the others have their turn.

struct HostPort {
  std::string host;
  uint16_t port = 0;
};

absl::StatusOr<HostPort> Split(const std::string& address) {
  const size_t colon = address.rfind(':');
  HostPort split;
  const char* end = address.data() + address.size();
  const char* first = colon == std::string::npos ? end : address.data() + colon + 1;
  const auto [stop, error] = std::from_chars(first, end, split.port);
  if (colon == std::string::npos || first == end || stop != end || error != std::errc()) {
    return absl::InvalidArgumentError(Cat(Quoted(address), ": expected host:port, port 0 to 65535"));
  }
  split.host = address.substr(0, colon);
  if (split.host.size() >= 2 && split.host.front() == '[' && split.host.back() == ']') {
    split.host = split.host.substr(1, split.host.size() - 2);
  } else if (split.host.find(':') != std::string::npos) {
    return absl::InvalidArgumentError(Cat(Quoted(address), ": expected [address]:port for IPv6"));
  }
  if (split.host.empty()) return absl::InvalidArgumentError(Cat(Quoted(address), ": expected a host before the port"));
  return split;
}

absl::StatusOr<UniqueFd> ListenOn(const addrinfo& info, uint16_t port, const std::string& address) {
  sockaddr_storage where{};
  std::memcpy(&where, info.ai_addr, info.ai_addrlen);
  if (info.ai_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&where)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(&where)->sin_port = htons(port);
  }
  UniqueFd fd(socket(info.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return absl::ErrnoToStatus(errno, Cat(address, ": no socket"));
  const int on = 1;
  // A restart must not wait for connections of the last run to be forgotten. "[::]" takes IPv4 as well.
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const bool any =
      info.ai_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6*>(&where)->sin6_addr);
  const int only_ipv6 = any ? 0 : 1;
  if (info.ai_family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof(only_ipv6));
  // What a listener has, the sockets it accepts have too.
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&where), info.ai_addrlen) != 0) {
    return absl::ErrnoToStatus(errno, Cat(address, ": cannot be bound"));
  }
  if (listen(fd.get(), kBacklog) != 0) return absl::ErrnoToStatus(errno, Cat(address, ": cannot be listened on"));
  return fd;
}

int PortOf(int fd) {
  sockaddr_storage where{};
  socklen_t size = sizeof(where);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size) != 0) return 0;
  return ntohs(where.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&where)->sin6_port
                                           : reinterpret_cast<const sockaddr_in*>(&where)->sin_port);
}

absl::StatusOr<std::vector<UniqueFd>> ListenOnAll(const std::string& address) {
  const absl::StatusOr<HostPort> split = Split(address);
  if (!split.ok()) return split.status();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(split->host.c_str(), nullptr, &hints, &found); error != 0) {
    return absl::InvalidArgumentError(Cat(Quoted(address), ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> infos(found, &freeaddrinfo);
  std::vector<UniqueFd> listeners;
  uint16_t port = split->port;
  absl::Status first_error;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    if (info->ai_family != AF_INET && info->ai_family != AF_INET6) continue;
    absl::StatusOr<UniqueFd> listener = ListenOn(*info, port, address);
    if (listener.ok()) {
      if (port == 0) port = static_cast<uint16_t>(PortOf(listener->get()));  // The same one for all addresses.
      listeners.push_back(*std::move(listener));
    } else if (listener.status().code() == absl::StatusCode::kAlreadyExists || first_error.ok()) {
      first_error.Update(listener.status());
    }
  }
  // "localhost" also stands for ::1 where there is no IPv6: one address that can be had is enough.
  if (listeners.empty())
    return first_error.ok() ? absl::InvalidArgumentError(Cat(address, ": no address")) : first_error;
  return listeners;
}

}  // namespace

struct Acceptor::State {
  std::vector<UniqueFd> listeners;
  UniqueFd wake, spare;
  ConnectionLimit* limit = nullptr;
  Log* log = nullptr;
  std::function<void(int, int)> accepted;
  int port = 0;
  std::atomic<bool> stopping{false};
  bool told_exhausted = false;
  std::thread thread;

  void Run();
  bool AcceptOne(int listener);
  bool OutOfDescriptors(int listener, int error);
};

void Acceptor::State::Run() {
  std::vector<pollfd> polled;
  for (const UniqueFd& listener : listeners) polled.push_back({listener.get(), POLLIN, 0});
  polled.push_back({wake.get(), POLLIN, 0});
  while (!stopping) {
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) break;
    for (size_t i = 0; i + 1 < polled.size(); ++i) {
      if (polled[i].revents == 0) continue;
      for (int n = 0; n < kAcceptsInARow && !stopping && AcceptOne(polled[i].fd); ++n) {
      }
    }
  }
}

// False: there is nothing more to accept for now.
bool Acceptor::State::AcceptOne(int listener) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
      return OutOfDescriptors(listener, error);
    }
    // Everything else is about the one connection, which is gone.
    return error != EAGAIN && error != EWOULDBLOCK && error != EBADF && error != EINVAL;
  }
  if (!limit->Admit(fd)) {
    close(fd);
    return true;
  }
  accepted(listener, fd);
  return true;
}

// The connection would wait for ever and wake us all the time: the spare descriptor takes it, to close it.
bool Acceptor::State::OutOfDescriptors(int listener, int error) {
  if (!std::exchange(told_exhausted, true)) {
    log->Warning("connections are refused: the process or the system is out of descriptors or memory",
                 {{"error", std::strerror(error)}});
  }
  spare = UniqueFd();
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) {
    close(fd);
    limit->CountRefused();
  }
  spare = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (fd >= 0) return true;
  // Somebody else took the spare one. Wait a little, but not for the listener, which is ready all the time.
  pollfd woken{wake.get(), POLLIN, 0};
  constexpr int kPauseMs = 50;
  poll(&woken, 1, kPauseMs);
  return false;
}

absl::StatusOr<std::unique_ptr<Acceptor>> Acceptor::Listen(const std::string& address, ConnectionLimit* limit, Log* log,
                                                           std::function<void(int, int)> accepted) {
  absl::StatusOr<std::vector<UniqueFd>> listeners = ListenOnAll(address);
  if (!listeners.ok()) return listeners.status();
  auto state = std::make_unique<State>();
  state->listeners = *std::move(listeners);
  state->port = PortOf(state->listeners.front().get());
  state->wake = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  state->spare = UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (state->wake.get() < 0 || state->spare.get() < 0)
    return absl::ErrnoToStatus(errno, Cat(address, ": no descriptor"));
  state->limit = limit;
  state->log = log;
  state->accepted = std::move(accepted);
  return std::unique_ptr<Acceptor>(new Acceptor(std::move(state)));
}

Acceptor::Acceptor(std::unique_ptr<State> state) : state_(std::move(state)) {}
Acceptor::~Acceptor() { Stop(); }

int Acceptor::port() const { return state_->port; }

void Acceptor::Start() {
  state_->thread = std::thread([state = state_.get()] { state->Run(); });
}

void Acceptor::Stop() {
  state_->stopping = true;
  const uint64_t one = 1;
  if (write(state_->wake.get(), &one, sizeof(one)) < 0) return;  // An eventfd that is full wakes as well.
  if (state_->thread.joinable()) state_->thread.join();
  state_->listeners.clear();
}

}  // namespace driftseal::serve
