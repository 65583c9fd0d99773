#include "engine/canary/remote_worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "engine/artifact/text.h"
#include "engine/replay/protocol/launch.h"

namespace driftseal::canary {
namespace {

using artifact::Cat;
using replay::Arrival;
using replay::Received;
using replay::UniqueFd;
using Clock = std::chrono::steady_clock;

constexpr size_t kPrinted = 2000;  ///< Bytes of what a worker printed that are kept.
/// How long the service may take to reap a worker, and a worker that closed its socket to end.
constexpr std::chrono::seconds kReaping{10}, kClosing{2};
constexpr int kExitMemory = 71;  ///< engine/replay/service/serve.h

std::string Text(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

absl::StatusOr<std::unique_ptr<RemoteWorker>> RemoteWorker::Start(std::shared_ptr<ReplayService> service,
                                                                  const replay::Spawn& spawn, int set_memory) {
  absl::StatusOr<std::pair<UniqueFd, UniqueFd>> work = replay::MakeChannel(), life = replay::MakeChannel();
  if (!work.ok()) return work.status();
  if (!life.ok()) return life.status();
  // Neither side waits for the other: what does not fit into the pipe is lost.
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return absl::ErrnoToStatus(errno, "pipe");
  UniqueFd output(ends[0]);
  const UniqueFd prints(ends[1]);
  const std::array<int, replay::kSpawnDescriptors> descriptors = {work->second.get(), life->second.get(), prints.get(),
                                                                  set_memory};
  if (absl::Status status = service->Spawn(spawn, descriptors); !status.ok()) return status;
  return std::unique_ptr<RemoteWorker>(
      new RemoteWorker(std::move(service), std::move(work->first), std::move(life->first), std::move(output)));
}

RemoteWorker::~RemoteWorker() { End(); }

absl::StatusOr<std::string> RemoteWorker::Run(const replay::Job& job, const JobMemory& memory,
                                              std::chrono::milliseconds limit) {
  reusable_ = false;
  const std::array<int, replay::kJobDescriptors> descriptors = {memory.model, memory.answer, memory.set};
  const absl::Status sent = replay::SendMessage(work_.get(), replay::Encode(job), descriptors);
  if (!sent.ok() && !absl::IsUnavailable(sent)) return sent;
  // This model is not to blame for what became of a worker that had others before. A new one is judged by its ending.
  if (!sent.ok() && worked_) return sent;
  worked_ = true;
  absl::StatusOr<std::string> answer = Await(job, memory.answer, limit);
  if (answer.ok() || absl::IsUnavailable(answer.status())) return answer;
  if (!reusable_) End();  // then all that it printed is there
  return absl::Status(answer.status().code(), Cat(Text(answer.status()), Printed()));
}

absl::StatusOr<std::string> RemoteWorker::Await(const replay::Job& job, int answer_memory,
                                                std::chrono::milliseconds limit) {
  auto deadline = Clock::now() + limit;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    std::array<pollfd, 2> polled = {pollfd{work_.get(), POLLIN, 0}, pollfd{life_.get(), POLLIN, 0}};
    const int ready = poll(polled.data(), polled.size(), static_cast<int>(std::clamp<int64_t>(left, 0, 1 << 30)));
    if (ready < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "poll");
    if (ready == 0 && left <= 0) {
      return work_.open() ? absl::DeadlineExceededError(Cat("it ran for more than ", limit.count(), " ms"))
                          : absl::InternalError("it closed its socket without an answer");
    }
    if (ready <= 0) continue;
    // An answer counts even if the worker ended right after it; so it is looked for first.
    if (work_.open()) {
      if (std::optional<absl::StatusOr<std::string>> answer = TakeAnswer(job, answer_memory)) return *std::move(answer);
    }
    if (polled[1].revents != 0) return ReadEnding();
    // Crashed, most likely: the service is about to tell.
    if (!work_.open()) deadline = std::min(deadline, Clock::now() + kClosing);
  }
}

std::optional<absl::StatusOr<std::string>> RemoteWorker::TakeAnswer(const replay::Job& job, int answer_memory) {
  absl::StatusOr<Received> received = replay::ReceiveMessage(work_.get(), 0, /*wait=*/false);
  if (!received.ok()) return absl::InternalError(Cat("it answered no message: ", Text(received.status())));
  if (received->arrival == Arrival::kNothing) return std::nullopt;
  if (received->arrival == Arrival::kClosed) {
    work_.Close();
    return std::nullopt;
  }
  absl::StatusOr<replay::Answer> answer = replay::DecodeAnswer(received->message, job);
  if (!answer.ok()) return absl::InternalError(Cat("it answered no message: ", Text(answer.status())));
  return Accept(*answer, answer_memory);
}

absl::StatusOr<std::string> RemoteWorker::Accept(const replay::Answer& answer, int answer_memory) {
  if (answer.code != absl::StatusCode::kOk) {
    reusable_ = answer.code != absl::StatusCode::kResourceExhausted;
    return absl::Status(answer.code, artifact::Quoted(answer.text, replay::kTextLimit));
  }
  absl::StatusOr<std::string> bytes = replay::CopyOut(answer_memory, answer.length);
  reusable_ = bytes.ok();
  return bytes;
}

absl::Status RemoteWorker::ReadEnding() {
  absl::StatusOr<Received> received = replay::ReceiveMessage(life_.get(), 0, /*wait=*/false);
  ended_ = true;
  if (!received.ok() || received->arrival != Arrival::kMessage) {
    service_->SetGone();
    return absl::UnavailableError("the replay service ended");
  }
  if (const absl::StatusOr<replay::Refused> refused = replay::DecodeRefused(received->message); refused.ok()) {
    return absl::InternalError(Cat("the replay service starts no worker: ", artifact::Quoted(refused->text, 500)));
  }
  const absl::StatusOr<replay::Exited> exited = replay::DecodeExited(received->message);
  if (!exited.ok()) return absl::InternalError(Cat("the replay service: ", Text(exited.status())));
  const int status = exited->wait_status;
  const std::string text = Cat("it ", replay::EndingText(status));
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) return absl::DeadlineExceededError(text);
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
    return absl::ResourceExhaustedError(Cat(text, ", most likely because the machine has no more memory"));
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == kExitMemory) {
    return absl::ResourceExhaustedError("it asked for more memory than it may have");
  }
  return absl::InternalError(text);
}

void RemoteWorker::End() {
  if (ended_) return;
  shutdown(life_.get(), SHUT_WR);
  if (WaitReadable(life_.get(), Clock::now() + kReaping)) {
    ReadEnding().IgnoreError();  // how it ended is not the question any more
  } else {
    service_->SetGone();  // stuck: with its last user goes the service
  }
  ended_ = true;
}

std::string RemoteWorker::Printed() {
  std::array<char, kPrinted> text;
  const ssize_t got = read(output_.get(), text.data(), text.size());
  return got > 0 ? Cat("; it printed: ", artifact::Quoted({text.data(), static_cast<size_t>(got)}, kPrinted)) : "";
}

}  // namespace driftseal::canary
