#include "engine/detector/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/artifact/posix.h"
#include "engine/artifact/text.h"
#include "engine/replay/protocol/frame.h"
#include "engine/replay/protocol/launch.h"

namespace driftseal::detector {
namespace {

using Clock = std::chrono::steady_clock;
using artifact::Cat;
using artifact::UniqueFd;

constexpr size_t kErrorTail = 2000;  ///< Bytes of standard error that go into a message.

/// The engine's end and the child's end of one stream. Sockets, because writing to one whose reader is gone can be made
/// to fail without raising SIGPIPE in a process that is not ours to change.
struct Stream {
  UniqueFd ours, theirs;
  static absl::StatusOr<Stream> Make() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return absl::ErrnoToStatus(errno, "socketpair");
    Stream stream{UniqueFd(ends[0]), UniqueFd(ends[1])};
    if (fcntl(stream.ours.get(), F_SETFL, O_NONBLOCK) != 0) return absl::ErrnoToStatus(errno, "fcntl");
    return stream;
  }
};

/// The running child; killed with its process group, and reaped, at the end at the latest.
class Child {
 public:
  static absl::StatusOr<Child> Start(const std::string& program, const Stream& in, const Stream& out,
                                     const Stream& error);
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Child& operator=(Child&&) = delete;
  ~Child() {
    if (pid_ >= 0) replay::KillGroup(pid_);
  }
  /// The wait status; nothing when the child still runs at the deadline, or when it is not waited for any longer.
  std::optional<int> Wait(Clock::time_point deadline, const std::stop_token& stop) {
    for (;;) {
      if (const std::optional<int> status = replay::TryWait(pid_)) {
        pid_ = -1;
        return status;
      }
      if (Clock::now() >= deadline || stop.stop_requested()) return std::nullopt;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
};

absl::StatusOr<Child> Child::Start(const std::string& program, const Stream& in, const Stream& out,
                                   const Stream& error) {
  const std::array<std::pair<int, int>, 3> descriptors = {std::pair(in.theirs.get(), STDIN_FILENO),
                                                          std::pair(out.theirs.get(), STDOUT_FILENO),
                                                          std::pair(error.theirs.get(), STDERR_FILENO)};
  absl::StatusOr<pid_t> pid = replay::StartProgram(program, {}, descriptors);
  if (!pid.ok()) return pid.status();
  return Child(*pid);
}

/// Sends what the socket takes. An error is no failure: a child that stops reading will be judged by its answer.
void Send(UniqueFd& to, std::string_view& rest) {
  const ssize_t sent = send(to.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
  if (sent > 0) rest.remove_prefix(static_cast<size_t>(sent));
  if (rest.empty() || (sent < 0 && errno != EAGAIN && errno != EINTR)) to.Close();
}

/// Appends what is there; closes `from` at its end.
void Receive(UniqueFd& from, std::string& into) {
  std::array<char, 65536> buffer;
  const ssize_t got = read(from.get(), buffer.data(), buffer.size());
  if (got > 0) into.append(buffer.data(), static_cast<size_t>(got));
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) from.Close();
}

/// Readable from the moment on at which `stop` is asked for, so that poll wakes up.
class StopEvent {
 public:
  explicit StopEvent(const std::stop_token& stop)
      : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), callback_(stop, [this] { Raise(); }) {}
  int get() const { return event_.get(); }

 private:
  void Raise() {
    if (event_.open()) eventfd_write(event_.get(), 1);
  }
  UniqueFd event_;
  std::stop_callback<std::function<void()>> callback_;
};

/// Moves bytes both ways until the child has closed its output. The answer is at most a frame long.
absl::Status Exchange(std::string_view request, Stream& in, Stream& out, Stream& error, Clock::time_point deadline,
                      const std::stop_token& stop, std::string& answer, std::string& error_text) {
  const StopEvent stopped(stop);
  while (out.ours.open()) {
    if (stop.stop_requested()) return absl::CancelledError("was stopped");
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return absl::DeadlineExceededError("no answer in time");
    // A closed descriptor is -1, which poll skips.
    std::array<pollfd, 4> polled = {pollfd{in.ours.get(), POLLOUT, 0}, pollfd{out.ours.get(), POLLIN, 0},
                                    pollfd{error.ours.get(), POLLIN, 0}, pollfd{stopped.get(), POLLIN, 0}};
    if (poll(polled.data(), polled.size(), static_cast<int>(std::min<int64_t>(left, 1000))) < 0 && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "poll");
    }
    if (polled[0].revents != 0) Send(in.ours, request);
    if (polled[1].revents != 0) Receive(out.ours, answer);
    if (polled[2].revents != 0) Receive(error.ours, error_text);
    if (error_text.size() > 2 * kErrorTail) error_text.erase(0, error_text.size() - kErrorTail);
    if (answer.size() > replay::kPayloadLimit + replay::kFrameHeader) {
      return absl::ResourceExhaustedError(Cat("an answer of more than ", replay::kPayloadLimit, " bytes"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Payload(std::string answer) {
  if (answer.size() < replay::kFrameHeader) return absl::InternalError(Cat("answered ", answer.size(), " bytes"));
  const auto header = std::span<const char>(answer).first<replay::kFrameHeader>();
  const absl::StatusOr<uint64_t> length = replay::ParseFrameHeader(header);
  if (!length.ok()) return absl::InternalError(length.status().message());
  if (answer.size() != replay::kFrameHeader + *length) {
    return absl::InternalError(
        Cat("answered ", answer.size() - replay::kFrameHeader, " bytes, announced as ", *length));
  }
  answer.erase(0, replay::kFrameHeader);
  return answer;
}

}  // namespace

absl::StatusOr<std::string> CallReplay(const std::string& program, std::string_view request,
                                       std::chrono::milliseconds timeout, std::stop_token stop) {
  const auto deadline = Clock::now() + timeout;
  absl::StatusOr<Stream> in = Stream::Make(), out = Stream::Make(), error = Stream::Make();
  for (const auto* stream : {&in, &out, &error}) {
    if (!stream->ok()) return stream->status();
  }
  absl::StatusOr<Child> child = Child::Start(program, *in, *out, *error);
  if (!child.ok()) return child.status();
  for (Stream* stream : {&*in, &*out, &*error}) stream->theirs.Close();

  const auto header = replay::FrameHeader(request.size());
  const std::string bytes = Cat(std::string_view(header.data(), header.size()), request);
  std::string answer, error_text;
  absl::Status status = Exchange(bytes, *in, *out, *error, deadline, stop, answer, error_text);
  const std::optional<int> ending = status.ok() ? child->Wait(deadline, stop) : std::nullopt;
  const std::string said = error_text.empty() ? "" : Cat("; it said: ", artifact::Quoted(error_text));
  if (status.ok() && !ending && stop.stop_requested()) status = absl::CancelledError("was stopped");
  if (status.ok() && !ending) status = absl::DeadlineExceededError("it answered, but did not end in time");
  if (status.ok() && (!WIFEXITED(*ending) || WEXITSTATUS(*ending) != 0))
    status = absl::InternalError(replay::EndingText(*ending));
  absl::StatusOr<std::string> payload = status.ok() ? Payload(std::move(answer)) : status;
  if (!payload.ok()) {
    return absl::Status(payload.status().code(), Cat(program, ": ", std::string(payload.status().message()), said));
  }
  return payload;
}

}  // namespace driftseal::detector
