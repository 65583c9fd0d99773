#include "engine/replay/service/worker.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>

#include "engine/artifact/text.h"
#include "engine/replay/protocol/channel.h"

namespace driftseal::replay {
namespace {

using artifact::Cat;

constexpr int kWork = 3;  ///< Where the socket to the engine ends up.

[[noreturn]] void Fail(std::string_view what) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(what.size()), what.data());
  std::fflush(nullptr);
  _exit(kExitProtocol);
}

void ArrangeDescriptors(const WorkerStart& start) {
  // The two may bear any numbers above the standard three.
  const int work = fcntl(start.work, F_DUPFD, 64), output = fcntl(start.output, F_DUPFD, 64);
  if (work < 0 || output < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 ||
      dup2(work, kWork) < 0) {
    _exit(kExitProtocol);
  }
  // Not every kernel has it (5.9): then each number that the service can have given out.
  if (syscall(SYS_close_range, kWork + 1U, ~0U, 0U) == 0) return;
  for (int fd = kWork + 1; fd < 1100; ++fd) close(fd);
}

/// LibTorch says by a text alone that there is no more memory.
bool IsAboutMemory(std::string_view text) {
  return text.find("DefaultCPUAllocator") != text.npos || text.find("bad_alloc") != text.npos;
}

absl::StatusOr<std::string> Guarded(const Handlers& handlers, std::span<const std::byte> model, const Job& job,
                                    const CanarySet& set) {
  absl::Status status;
  try {
    absl::StatusOr<std::string> payload = handlers.work(model, job, set);
    if (payload.ok()) return payload;
    status = payload.status();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("it asked for more memory than it may have");
  } catch (const std::exception& error) {
    status = absl::InternalError(error.what());
  } catch (...) {
    status = absl::InternalError("its code failed without saying why");
  }
  const std::string_view text(status.message().data(), status.message().size());
  if (IsAboutMemory(text)) return absl::ResourceExhaustedError(status.message());
  if (absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status)) return status;
  return absl::InternalError(status.message());
}

/// Does the job and puts its payload into the answer's memory.
absl::Status Do(const Job& job, const std::vector<UniqueFd>& memory, const Handlers& handlers, SetCache& sets,
                uint64_t& length) {
  absl::StatusOr<std::shared_ptr<const CanarySet>> set =
      sets.Get(job.set_key, memory[2].get(), job.set_length, handlers);
  if (!set.ok()) return set.status();
  absl::StatusOr<Mapping> model = Mapping::ReadOnly(memory[0].get(), job.model_length);
  if (!model.ok()) return model.status();
  absl::StatusOr<Mapping> answer = Mapping::Writable(memory[1].get(), job.answer_capacity);
  if (!answer.ok()) return answer.status();
  absl::StatusOr<std::string> payload = Guarded(handlers, model->bytes(), job, **set);
  if (!payload.ok()) return payload.status();
  if (payload->size() > answer->bytes().size()) {
    return absl::InternalError(Cat("an answer of ", payload->size(), " bytes; the limit is ", answer->bytes().size()));
  }
  std::memcpy(answer->bytes().data(), payload->data(), payload->size());
  length = payload->size();
  return absl::OkStatus();
}

void WorkOff(const Handlers& handlers, SetCache& sets) {
  for (;;) {
    absl::StatusOr<Received> received = ReceiveMessage(kWork, kJobDescriptors, /*wait=*/true);
    if (!received.ok()) Fail(received.status().ToString());
    if (received->arrival == Arrival::kClosed) return;
    absl::StatusOr<Job> job = DecodeJob(received->message);
    if (!job.ok()) Fail(job.status().ToString());
    if (received->descriptors.size() != kJobDescriptors) Fail("a job without its memory");
    Answer answer;
    answer.id = job->id;
    const absl::Status status = Do(*job, received->descriptors, handlers, sets, answer.length);
    answer.code = status.code();
    answer.text = std::string(status.message());
    std::fflush(nullptr);  // what the model printed belongs before its answer
    if (!SendMessage(kWork, Encode(answer)).ok()) return;
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CanarySet>> SetCache::Get(const SetKey& key, int memory, uint64_t length,
                                                               const Handlers& handlers) {
  const auto known = std::find_if(sets_.begin(), sets_.end(), [&](const auto& entry) { return entry.first == key; });
  if (known != sets_.end()) {
    sets_.splice(sets_.begin(), sets_, known);
    return sets_.front().second;
  }
  absl::StatusOr<Mapping> bytes = Mapping::ReadOnly(memory, length);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<CanarySet> set = handlers.decode_set(bytes->text(), "canary set");
  if (!set.ok()) return set.status();
  sets_.emplace_front(key, std::make_shared<const CanarySet>(*std::move(set)));
  if (sets_.size() > kMost) sets_.pop_back();
  return sets_.front().second;
}

void RunWorker(const WorkerStart& start, const Sandbox& sandbox, const Handlers& handlers, SetCache& sets) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // where there is no pid namespace that ends with the service
  ArrangeDescriptors(start);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const absl::Status closed =
      sandbox.CloseWorker(start.address_space + start.spawn.memory_limit, start.spawn.processor_seconds);
  if (!closed.ok()) Fail(Cat("the sandbox does not close: ", closed.ToString()));
  try {
    WorkOff(handlers, sets);
  } catch (const std::bad_alloc&) {
    _exit(kExitMemory);
  } catch (const std::exception& error) {
    Fail(error.what());
  }
  _exit(0);
}

}  // namespace driftseal::replay
