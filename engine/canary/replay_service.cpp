#include "engine/canary/replay_service.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>

#include "engine/artifact/text.h"
#include "engine/replay/protocol/launch.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;
using replay::UniqueFd;
using Clock = std::chrono::steady_clock;
using std::chrono_literals::operator""ms;

/// The end of what was written to a pipe that nobody else reads.
std::string Said(int pipe) {
  std::array<char, 2000> text;
  const ssize_t got = read(pipe, text.data(), text.size());
  return got > 0 ? Cat("; it said: ", artifact::Quoted({text.data(), static_cast<size_t>(got)}, 1000)) : "";
}

}  // namespace

bool WaitReadable(int fd, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd polled{fd, POLLIN, 0};
    const int ready = poll(&polled, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30)));
    if (ready > 0) return true;
    if (ready == 0 && left <= 0) return false;
  }
}

absl::StatusOr<std::shared_ptr<ReplayService>> ReplayService::Start(const std::string& program,
                                                                    std::chrono::milliseconds limit) {
  absl::StatusOr<std::pair<UniqueFd, UniqueFd>> control = replay::MakeChannel();
  if (!control.ok()) return control.status();
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.open()) return absl::ErrnoToStatus(errno, "/dev/null");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return absl::ErrnoToStatus(errno, "pipe");
  const UniqueFd said(ends[0]);
  UniqueFd says(ends[1]);
  const std::array<std::pair<int, int>, 4> descriptors = {
      std::pair(null.get(), STDIN_FILENO), std::pair(null.get(), STDOUT_FILENO), std::pair(says.get(), STDERR_FILENO),
      std::pair(control->second.get(), 3)};
  absl::StatusOr<pid_t> pid = replay::StartProgram(program, {"--serve"}, descriptors);
  if (!pid.ok()) return pid.status();
  says.Close();
  control->second.Close();
  std::shared_ptr<ReplayService> service(new ReplayService(*pid, std::move(control->first)));
  if (absl::Status status = service->AwaitHello(limit, said.get()); !status.ok()) {
    return absl::FailedPreconditionError(Cat(program, ": ", std::string(status.message())));
  }
  return service;
}

absl::Status ReplayService::AwaitHello(std::chrono::milliseconds limit, int said) {
  if (!WaitReadable(control_.get(), Clock::now() + limit)) {
    return absl::DeadlineExceededError(Cat("is not ready after ", limit.count(), " ms", Said(said)));
  }
  absl::StatusOr<replay::Received> received = replay::ReceiveMessage(control_.get(), 0, /*wait=*/false);
  if (!received.ok()) return received.status();
  if (received->arrival != replay::Arrival::kMessage) {
    const std::optional<int> ending = WaitEnd(1000ms);
    return absl::InternalError(
        Cat(ending ? replay::EndingText(*ending) : "closed its socket", " at its start", Said(said)));
  }
  absl::StatusOr<replay::Hello> hello = replay::DecodeHello(received->message);
  if (!hello.ok()) return hello.status();
  measures_ = std::move(hello->measures);
  return absl::OkStatus();
}

absl::Status ReplayService::Spawn(const replay::Spawn& spawn, std::span<const int> descriptors) {
  const absl::Status sent = replay::SendMessage(control_.get(), replay::Encode(spawn), descriptors);
  if (!sent.ok()) SetGone();
  return sent.ok() ? sent
                   : absl::UnavailableError(Cat("the replay service takes no work: ", std::string(sent.message())));
}

std::optional<int> ReplayService::WaitEnd(std::chrono::milliseconds limit) {
  const auto deadline = Clock::now() + limit;
  for (std::chrono::microseconds pause(100);; pause = std::min(pause * 2, std::chrono::microseconds(10'000))) {
    if (const std::optional<int> status = replay::TryWait(pid_)) {
      pid_ = -1;
      return status;
    }
    if (Clock::now() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(pause);
  }
}

ReplayService::~ReplayService() {
  control_.Close();  // asks it to end
  if (pid_ < 0 || WaitEnd(3000ms)) return;
  kill(pid_, SIGTERM);  // asks the process around it to end it
  if (WaitEnd(2000ms)) return;
  replay::KillGroup(pid_);
}

}  // namespace driftseal::canary
